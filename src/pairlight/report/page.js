// The report's data and the means to show it. Names and captions come from files, which anybody may
// have written: they reach the page as text (textContent), never as markup.
"use strict";

const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const photos = data.photos, captions = data.captions;
const number = (n) => new Intl.NumberFormat("en").format(n);

// The captions of each photo, by their numbers.
const captionsOf = photos.name.map(() => []);
captions.photo.forEach((photo, caption) => captionsOf[photo].push(caption));

// Texts are compared in small letters, in one form of accents, and from the beginnings of words:
// "red" finds "red" and "reddish", not "haired". Scripts without spaces are searched anywhere.
const plain = (text) =>
  ` ${text.normalize("NFC").toLowerCase().replace(/[^\p{L}\p{N}\p{M}\p{So}]+/gu, " ")}`;
const UNSPACED = /[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]/;
const plainCaptions = captions.text.map(plain), plainNames = photos.name.map(plain);
const wordsOf = (text) => plain(text).split(" ").filter(Boolean);
const holds = (text, words) =>
  words.every((word) => text.includes(UNSPACED.test(word) ? word : ` ${word}`));

function make(name, settings = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(settings)) {
    if (key === "class") element.className = value;
    else if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((each) => each !== null));
  return element;
}

const address = (photo) =>
  photos.thumb[photo] ? `data:image/jpeg;base64,${photos.thumb[photo]}` : null;

function picture(photo, className) {
  const source = address(photo);
  if (!source) return make("span", { class: "missing" }, "photo not readable");
  const about = captionsOf[photo].length ? captions.text[captionsOf[photo][0]] : photos.name[photo];
  return make("img", { class: className, src: source, alt: about, loading: "lazy" });
}

// A text that somebody wrote: its own direction, whatever stands around it.
const written = (text, className = "") => make("bdi", { class: className, dir: "auto" }, text);

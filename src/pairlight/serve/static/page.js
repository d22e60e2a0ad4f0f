// The search page: one script, no framework, no other origin. Names come from files, which anybody
// may have named: they reach the page as text (textContent), never as markup.
"use strict";

const WORDS = {
  en: {
    api: "API", label: "Search your photos", pick: "Photo",
    pick_title: "Find photos like one of yours", drop_example: "Search without this photo",
    hint: "a dog on the beach", hint_more: "and … (words, if you like)",
    start_title: "Search your photos", start_words: "Say what a photo should show, or try:",
    start_photo: "Or drop, paste or pick a photo to find others like it.",
    start_none: "There are no photos yet. Add some with: pairlight index DIR --store FILE",
    start_count: (n) => `${n} ${n === "1" ? "photo" : "photos"} to search`,
    key_search: "search", key_move: "move", key_open: "open", key_like: "more like this",
    key_close: "close", results: "Photos found", busy: "Searching…",
    waiting: "The server is busy; trying again…",
    found: (n) => (n === "1" ? "1 photo" : `${n} photos`),
    found_text: (n, text) => `${n} for “${text}”`,
    found_like: (n, name) => `${n} like ${name}, the most alike first`,
    unknown_text: "How likely they show this is not known: this model has no calibration. The best come first.",
    all_note: "Everything is shown, also what hardly fits.",
    nothing: "Nothing matches well", nothing_like: "There is nothing like it",
    nothing_best: (percent) => `The nearest photo fits with a probability of ${percent}. Other words may help. Below are the nearest.`,
    nothing_store: "There are no other photos in the store.",
    unknown: (words) => `The model has hardly met in training: ${words}.`,
    nearest: "Show more that hardly fit", failed: "That did not work", again: "Try again",
    offline: "The server does not answer. Is pairlight serve still running?",
    large: (limit) => `This file is too large; up to ${limit} MB can be sent.`,
    not_image: "This is not an image file.", more: "Show more", rest: "Show also what hardly fits", like: "More like this",
    close: "Close", previous: "Previous photo", next: "Next photo",
    broken: "cannot be shown now", broken_long: "This photo cannot be shown: its file is gone or damaged.",
    drop: "Drop the photo to find others like it", an_image: "your photo",
    fit_5: "almost surely", fit_4: "very likely", fit_3: "likely", fit_2: "perhaps", fit_1: "hardly",
    fit_title: "how likely it is that the photo shows this", score: (s) => `score ${s}`,
    alike: (s) => `similarity ${s}`, score_title: "cosine; it only orders the photos of one search",
    copies: (n) => `${n} more ${n === "1" ? "photo" : "photos"} nearly the same: `,
    in_folder: (folder) => `in ${folder}`, pixels: (w, h) => `${w} × ${h} pixels`,
  },
  zh: {
    api: "接口", label: "搜索你的照片", pick: "以图搜图",
    pick_title: "找出与某张照片相似的照片", drop_example: "去掉这张照片",
    hint: "用英文描述，例如 a dog on the beach", hint_more: "还可以加上文字",
    start_title: "搜索你的照片", start_words: "描述照片里有什么，或者试试：",
    start_photo: "也可以拖入、粘贴或选择一张照片，找出相似的照片。",
    start_none: "还没有照片。请先运行：pairlight index DIR --store FILE",
    start_count: (n) => `共 ${n} 张照片`,
    key_search: "搜索", key_move: "移动", key_open: "打开", key_like: "找相似", key_close: "关闭",
    results: "找到的照片", busy: "搜索中…", waiting: "服务器正忙，正在重试…",
    found: (n) => `${n} 张照片`, found_text: (n, text) => `“${text}”：${n}`,
    found_like: (n, name) => `与 ${name} 相似：${n}，最相似的在前`,
    unknown_text: "此模型没有校准，无法给出符合的概率。最符合的在前。",
    all_note: "已显示全部结果，包括不太符合的。",
    nothing: "没有很符合的照片", nothing_like: "没有相似的照片",
    nothing_best: (percent) => `最接近的一张，符合的概率只有 ${percent}。换个说法试试。下面是最接近的几张。`,
    nothing_store: "库里没有其他照片。", unknown: (words) => `模型在训练时几乎没见过：${words}。`, nearest: "显示更多不太符合的",
    failed: "出错了", again: "重试", offline: "服务器没有响应。pairlight serve 还在运行吗？",
    large: (limit) => `文件太大，最多 ${limit} MB。`, not_image: "这不是图片文件。",
    more: "显示更多", rest: "也显示不太符合的", like: "找相似", close: "关闭", previous: "上一张", next: "下一张",
    broken: "现在无法显示", broken_long: "无法显示这张照片：文件已不存在或已损坏。",
    drop: "松开鼠标，找出相似的照片", an_image: "你的照片",
    fit_5: "几乎肯定", fit_4: "很可能", fit_3: "可能", fit_2: "也许", fit_1: "不太像",
    fit_title: "照片符合描述的概率", score: (s) => `得分 ${s}`, alike: (s) => `相似度 ${s}`,
    score_title: "余弦相似度；只用来给同一次搜索的照片排序",
    copies: (n) => `另有 ${n} 张几乎相同：`, in_folder: (folder) => `位于 ${folder}`,
    pixels: (w, h) => `${w} × ${h} 像素`,
  },
};
const TRIES = ["people on the street", "food on a table", "a train"];
const PAGE = 24, MOST = 500, PAUSE_MS = 250, RETRIES = 3, MOST_SECONDS = 10;

const $ = (id) => document.getElementById(id);
const asked = { text: "", file: null, like: null, all: false, k: PAGE };
let language = "en", stats = null, result = null, turn = 0, pending = null, timer = 0;
let cards = [], current = 0, viewed = null;

// Words and numbers.

const say = (key, ...values) => {
  const word = WORDS[language][key];
  return typeof word === "function" ? word(...values) : word;
};
const number = (n) => new Intl.NumberFormat(language).format(n);
const percent = (n) =>
  new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 0 }).format(n);

function speak(chosen) {
  language = WORDS[chosen] ? chosen : "en";
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  $("language").value = language;
  for (const each of document.querySelectorAll("[data-say]")) each.textContent = say(each.dataset.say);
  for (const each of document.querySelectorAll("[data-title]")) {
    each.title = say(each.dataset.title);
    each.setAttribute("aria-label", each.title);
  }
  $("hits").setAttribute("aria-label", say("results"));
  show();
}

function remembered() {
  try { return localStorage.getItem("language"); } catch { return null; }
}

function fitOf(hit) {
  if (hit.relevance === null) {
    const word = asked.like || asked.file ? "alike" : "score";
    return { text: say(word, hit.score.toFixed(2)), title: say("score_title"), kind: "" };
  }
  const level = [0.9, 0.75, 0.5, 0.2].filter((least) => hit.relevance >= least).length + 1;
  const kind = level >= 4 ? "strong" : level <= 2 ? "weak" : "";
  const text = `${say(`fit_${level}`)} · ${percent(hit.relevance)}`;
  return { text, title: say("fit_title"), kind };
}

// Searching: the newest question wins, whatever order the answers come in.

function request() {
  const options = new URLSearchParams({ k: asked.k });
  if (asked.like) return [`/api/v1/similar/${asked.like.id}?${options}`, {}];
  if (asked.all) options.set("all", "true");
  const text = asked.text.trim();
  if (text) options.set("text", text);
  if (!asked.file) return [`/api/v1/search?${options}`, {}];
  const body = new FormData();
  for (const [key, value] of options) body.set(key, value);
  body.set("image", asked.file, "image");
  return ["/api/v1/search", { method: "POST", body }];
}

async function search() {
  clearTimeout(timer);
  pending?.abort();
  const mine = ++turn;
  if (!asked.text.trim() && !asked.file && !asked.like) {
    result = null;
    return show();
  }
  pending = new AbortController();
  $("hits").setAttribute("aria-busy", "true");
  tell(say("busy"));
  let answer;
  try {
    answer = await fetched(...request(), pending.signal, mine);
  } catch (error) {
    answer = { failed: error.message };
  }
  if (mine !== turn) return;
  result = answer;
  show();
}

async function fetched(address, options, signal, mine) {
  for (let attempt = 0; ; attempt++) {
    let response;
    try {
      response = await fetch(address, { ...options, signal });
    } catch {
      throw new Error(say("offline"));
    }
    const seconds = Number(response.headers.get("Retry-After")) || 1;
    // Who would have to wait for longer is told why instead.
    const brief = response.status === 503 && seconds <= MOST_SECONDS;
    if (brief && attempt < RETRIES && mine === turn) {
      tell(say("waiting"));
      await new Promise((done) => setTimeout(done, seconds * 1000));
      continue;
    }
    const body = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(body.error || `HTTP ${response.status}`);
    return body;
  }
}

function ask(changes, remember) {
  Object.assign(asked, { k: PAGE, all: false }, changes);
  const place = new URLSearchParams();
  if (asked.text.trim()) place.set("text", asked.text.trim());
  if (asked.like) place.set("like", asked.like.id), place.set("name", asked.like.name);
  const address = place.size ? `#${place}` : location.pathname;
  if (remember) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
  if (changes.text !== undefined && $("text").value !== asked.text) $("text").value = asked.text;
  return search();
}

function recall() {
  const place = new URLSearchParams(location.hash.slice(1));
  const id = Number(place.get("like"));
  asked.like = Number.isInteger(id) && id > 0 ? { id, name: place.get("name") || "" } : null;
  Object.assign(asked, { text: place.get("text") || "", file: null, k: PAGE, all: false });
  $("text").value = asked.text;
  search();
}

function like(photo) {
  if ($("viewer").open) $("viewer").close();
  $("text").focus({ preventScroll: true });
  scrollTo(0, 0);
  ask({ like: { id: photo.id, name: photo.name }, file: null, text: "" }, true);
}

function byExample(file) {
  if (!file) return;
  const limit = stats ? stats.limits.max_upload_mb : 20;
  const unsuited = file.type && !file.type.startsWith("image/");
  if (unsuited || file.size > limit * 1e6) {
    turn++;
    result = { failed: unsuited ? say("not_image") : say("large", number(limit)) };
    return show();
  }
  ask({ file, like: null, text: "" }, true);
}

// Showing.

function tell(text) { $("status").textContent = text; }

function show() {
  $("hits").removeAttribute("aria-busy");
  $("text").placeholder = say(asked.file ? "hint_more" : "hint");
  showExample();
  const failed = result?.failed, hits = result?.hits || [];
  $("start").hidden = result !== null;
  $("failed").hidden = !failed;
  $("nothing").hidden = !result || failed || hits.length > 0;
  $("failed-text").textContent = failed || "";
  $("more").hidden = hits.length < asked.k || asked.k >= MOST;
  $("rest").hidden = !hits.length || result.cutoff === null || !$("more").hidden;
  $("note").hidden = true;
  const unknown = result?.unknown || [];
  $("unknown").hidden = !unknown.length;
  $("unknown").textContent = unknown.length ? say("unknown", unknown.join(", ")) : "";
  if (!result) showStart();
  else if (failed) tell("");
  else if (!hits.length) showNothing();
  else showFound(hits);
  showCards(hits.length ? hits : result?.nearest || []);
  if (viewed) view(viewed.index);
}

function showExample() {
  const chip = $("example"), image = $("example-image");
  chip.hidden = !asked.file && !asked.like;
  $("example-name").textContent = asked.like?.name || asked.file?.name || "";
  const source = asked.file || asked.like?.id;
  if (chip.source === source) return;
  if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
  chip.source = source;
  image.hidden = !source;
  if (asked.file) image.src = URL.createObjectURL(asked.file);
  else if (asked.like) image.src = `/api/v1/photos/${asked.like.id}/thumbnail`;
  else image.removeAttribute("src");
}

function showStart() {
  tell("");
  const empty = stats && stats.photos === 0;
  document.querySelector("[data-say=start_words]").hidden = empty;
  $("tries").hidden = empty;
  const last = document.querySelector("[data-say=start_photo]");
  last.textContent = say(empty ? "start_none" : "start_photo");
  if (stats && !empty) tell(say("start_count", number(stats.photos)));
}

function showNothing() {
  tell("");
  const words = !asked.file && !asked.like, most = result.best;
  $("nothing-title").textContent = say(words ? "nothing" : "nothing_like");
  $("nothing-text").textContent =
    words && most !== null ? say("nothing_best", percent(most)) : say("nothing_store");
  $("nearest").hidden = result.nearest.length === 0 || result.searched <= result.nearest.length;
}

function showFound(hits) {
  const count = say("found", number(hits.length));
  const name = asked.like?.name || say("an_image");
  tell(asked.like || asked.file ? say("found_like", count, name)
                                : say("found_text", count, asked.text.trim()));
  const note = asked.like || asked.file ? "" : result.cutoff === null && result.best === null
    ? say("unknown_text") : asked.all ? say("all_note") : "";
  $("note").textContent = note;
  $("note").hidden = !note;
}

function showCards(hits) {
  const known = new Map(cards.map((card) => [card.hit.id, card]));
  const focused = cards.find((card) => card.item.contains(document.activeElement));
  cards = hits.map((hit) => dressed(known.get(hit.id) || newCard(hit), hit));
  $("hits").replaceChildren(...cards.map((card) => card.item));
  setCurrent(Math.max(0, focused ? cards.indexOf(focused) : 0));
  if (focused && cards.includes(focused)) focused.open.focus({ preventScroll: true });
}

function newCard(hit) {
  const item = $("card").content.firstElementChild.cloneNode(true);
  const card = { item, hit, open: item.querySelector(".open"), like: item.querySelector(".like") };
  const image = item.querySelector("img");
  image.addEventListener("error", () => {
    const words = document.createElement("span");
    words.className = "broken";
    words.textContent = say("broken");
    image.replaceWith(words);
  });
  image.src = hit.thumbnail;
  card.open.addEventListener("click", () => view(cards.indexOf(card)));
  card.like.addEventListener("click", () => like(card.hit));
  item.addEventListener("focusin", () => setCurrent(cards.indexOf(card)));
  return card;
}

function dressed(card, hit) {
  card.hit = hit;
  const fit = card.item.querySelector(".fit"), found = fitOf(hit);
  fit.className = `fit ${found.kind}`;
  fit.textContent = found.text;
  fit.title = found.title;
  card.item.querySelector(".name").textContent = hit.name;
  card.item.querySelector(".name").title = `${hit.folder}/${hit.name}`;
  card.open.setAttribute("aria-label", `${hit.name}, ${found.text}`);
  card.like.textContent = say("like");
  card.like.setAttribute("aria-label", `${say("like")}: ${hit.name}`);
  const broken = card.item.querySelector(".broken");
  if (broken) broken.textContent = say("broken");
  return card;
}

// Only the current card is a stop of the Tab key; arrows go on from there.
function setCurrent(index) {
  current = index;
  cards.forEach((card, place) => {
    card.open.tabIndex = card.like.tabIndex = place === index ? 0 : -1;
  });
}

// The viewer.

function view(index) {
  const hit = cards[index]?.hit;
  if (!hit) return $("viewer").close();
  if (viewed?.hit.id !== hit.id) showPhoto(hit);
  viewed = { index, hit };
  $("viewer-name").textContent = hit.name;
  $("viewer-image").alt = hit.name;
  const facts = [say("in_folder", hit.folder), say("pixels", hit.width, hit.height)];
  if (hit.taken) {
    const style = { dateStyle: "long", timeStyle: "short" };
    facts.unshift(new Intl.DateTimeFormat(language, style).format(new Date(hit.taken)));
  }
  $("viewer-facts").textContent = facts.join(" · ");
  const fit = fitOf(hit);
  $("viewer-fit").textContent = `${fit.text} (${fit.title})`;
  const copies = hit.duplicates.map((each) => `${each.folder}/${each.name}`);
  $("viewer-copies").hidden = !copies.length;
  const told = copies.slice(0, 20).join(", ") + (copies.length > 20 ? ", …" : "");
  $("viewer-copies").textContent = copies.length ? say("copies", number(copies.length)) + told : "";
  $("viewer-back").disabled = index === 0;
  $("viewer-next").disabled = index === cards.length - 1;
  if (!$("viewer").open) $("viewer").showModal();
}

function showPhoto(hit) {
  const image = $("viewer-image"), whole = new Image();
  image.hidden = false;
  $("viewer-broken").hidden = true;
  image.src = hit.thumbnail; // at once, until the large one is here
  whole.onload = () => { if (viewed?.hit.id === hit.id) image.src = whole.src; };
  whole.onerror = () => {
    if (viewed?.hit.id !== hit.id) return;
    image.hidden = true;
    $("viewer-broken").hidden = false;
  };
  whole.src = hit.photo;
}

// Keys.

function columns() {
  const top = cards[0]?.item.offsetTop;
  return Math.max(1, cards.filter((card) => card.item.offsetTop === top).length);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const open = $("viewer").open, typing = document.activeElement === $("text");
  const inGrid = cards.some((card) => card.item.contains(document.activeElement));
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns() };
  const step = steps[event.key];
  if (open) {
    if (event.key === "ArrowLeft" && viewed.index > 0) view(viewed.index - 1);
    else if (event.key === "ArrowRight" && viewed.index < cards.length - 1) view(viewed.index + 1);
    else if (event.key === "m") like(viewed.hit);
    else return;
  } else if (event.key === "/" && !typing) {
    $("text").focus();
    $("text").select();
  } else if (inGrid && step) {
    const next = current + step;
    if (next >= 0 && next < cards.length) cards[next].open.focus();
    else if (event.key === "ArrowUp") $("text").focus();
  } else if (typing && event.key === "ArrowDown" && cards.length) {
    cards[0].open.focus();
  } else if (inGrid && event.key === "m") {
    like(cards[current].hit);
  } else if (inGrid && event.key === "Escape") {
    $("text").focus();
  } else {
    return;
  }
  event.preventDefault();
}

// Setting out.

function listen() {
  $("search").addEventListener("submit", (event) => {
    event.preventDefault();
    ask({ text: $("text").value, like: null }, true);
  });
  $("text").addEventListener("input", (event) => {
    clearTimeout(timer);
    if (event.isComposing) return; // half a Chinese word is none
    timer = setTimeout(() => ask({ text: $("text").value, like: null }, false), PAUSE_MS);
  });
  $("text").addEventListener("compositionend", () => $("text").dispatchEvent(new Event("input")));
  $("file").addEventListener("change", () => { byExample($("file").files[0]); $("file").value = ""; });
  $("pick").addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); $("file").click(); }
  });
  $("example-drop").addEventListener("click", () => {
    $("text").focus();
    ask({ file: null, like: null }, true);
  });
  for (const id of ["nearest", "rest"]) {
    $(id).addEventListener("click", () => { asked.all = true; search(); });
  }
  $("again").addEventListener("click", search);
  $("more").addEventListener("click", () => { asked.k = Math.min(MOST, asked.k * 2); search(); });
  $("language").addEventListener("change", () => {
    try { localStorage.setItem("language", $("language").value); } catch { /* private window */ }
    speak($("language").value);
  });
  $("viewer-close").addEventListener("click", () => $("viewer").close());
  $("viewer-back").addEventListener("click", () => view(viewed.index - 1));
  $("viewer-next").addEventListener("click", () => view(viewed.index + 1));
  $("viewer-like").addEventListener("click", () => like(viewed.hit));
  $("viewer").addEventListener("click", (event) => {
    if (event.target === $("viewer")) $("viewer").close(); // the backdrop
  });
  $("viewer").addEventListener("close", () => {
    const index = viewed ? viewed.index : 0;
    viewed = null;
    cards[index]?.open.focus();
  });
  document.addEventListener("keydown", onKey);
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files || [])][0];
    if (file) { event.preventDefault(); byExample(file); }
  });
  listenToDrags();
  addEventListener("popstate", recall);
}

function listenToDrags() {
  let depth = 0; // enter and leave come for every element on the way
  const files = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
  const over = (change) => { depth = Math.max(0, depth + change); $("drop").hidden = depth === 0; };
  addEventListener("dragenter", (event) => { if (files(event)) over(1); });
  addEventListener("dragleave", (event) => { if (files(event)) over(-1); });
  addEventListener("dragover", (event) => { if (files(event)) event.preventDefault(); });
  addEventListener("drop", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    over(-depth);
    byExample(event.dataTransfer.files[0]);
  });
}

function start() {
  const here = new URL(location.href);
  if (here.searchParams.has("token")) { // it is in a cookie by now, and need not be in the history
    here.searchParams.delete("token");
    history.replaceState(null, "", here);
  }
  for (const text of TRIES) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.lang = "en";
    button.addEventListener("click", () => ask({ text }, true));
    $("tries").append(button);
  }
  listen();
  const first = navigator.languages.find((each) => /^(en|zh)\b/i.test(each)) || "en";
  speak(remembered() || first.slice(0, 2).toLowerCase());
  recall();
  fetched("/api/v1/stats", {}, undefined, turn).then(
    (found) => { stats = found; if (!result) show(); },
    (error) => { if (!result) { result = { failed: error.message }; show(); } },
  );
}

start();

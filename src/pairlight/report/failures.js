// The failures browser: what was asked, what was found instead, and where the right answer was.

const PER_PAGE = 10;
const fail = { way: "i2t", words: [], near: false, page: 0, list: [] };
const ANSWERS = { i2t: "photos found a caption of another photo first",
                  t2i: "captions found another photo first" };

// Any words of a failure that a person may look for: both sides of it.
function searchable(way, [query, , right, , found]) {
  if (way === "t2i") return [plainCaptions[query], plainNames[right]].join("\n");
  const texts = [...captionsOf[query], ...found].map((at) => plainCaptions[at]);
  return [plainNames[query], ...texts].join("\n");
}

function filterFailures() {
  const list = data.failures[fail.way].filter((each) =>
    !fail.words.length || holds(searchable(fail.way, each), fail.words));
  fail.list = fail.near ? list.reverse() : list;
  fail.page = 0;
  showFailures();
}

function showFailures() {
  const [failed, asked] = data.totals[fail.way], held = data.failures[fail.way].length;
  const pages = Math.ceil(fail.list.length / PER_PAGE), start = fail.page * PER_PAGE;
  const share = asked ? ` (${Math.round((100 * failed) / asked)} %)` : "";
  const parts = [`${number(failed)} of ${number(asked)} ${ANSWERS[fail.way]}${share}.`];
  if (held < failed) parts.push(`The worst ${number(held)} are here.`);
  if (fail.words.length) parts.push(`${number(fail.list.length)} hold these words.`);
  $("fail-status").textContent = failed ? parts.join(" ") : `No failures: ${parts[0]}`;
  const shown = fail.list.slice(start, start + PER_PAGE);
  $("fail-list").replaceChildren(...shown.map(fail.way === "i2t" ? failedPhoto : failedCaption));
  $("fail-list").start = start + 1;
  $("fail-pages").hidden = pages < 2;
  $("fail-page").textContent = `${number(start + 1)}–${number(start + shown.length)} of ${number(fail.list.length)}`;
  $("fail-back").disabled = fail.page === 0;
  $("fail-next").disabled = fail.page >= pages - 1;
}

// A photo that leads to its place on the map.
function linked(photo, caption = null) {
  const button = make("button", { type: "button", class: "plain" }, picture(photo, "thumb"));
  button.title = `${photos.name[photo]}: show on the map`;
  button.setAttribute("aria-label", button.title);
  button.addEventListener("click", () => showOnMap(photo, caption));
  return button;
}

function line(mark, kind, cosine, caption) {
  return make("li", {},
    make("span", { class: "cosine" }, make("span", { class: kind }, mark), ` ${cosine.toFixed(3)}`),
    written(captions.text[caption], kind));
}

function failedPhoto([photo, rank, right, cosine, found, cosines]) {
  const others = captionsOf[photo].filter((at) => at !== right);
  const more = others.length ? make("details", {},
    make("summary", {}, `${others.length} more of its own captions`),
    make("ul", { class: "mine" }, ...others.map((at) => make("li", {}, written(captions.text[at]))))) : null;
  return make("li", { class: "failure" },
    make("div", {}, linked(photo), written(photos.name[photo], "rank")),
    make("div", {},
      make("p", { class: "rank" }, `its best own caption has rank ${number(rank)}`),
      make("ul", { class: "texts" },
        ...found.map((at, n) => line("✗", "wrong", cosines[n], at)),
        line("✓", "right", cosine, right)),
      more));
}

function failedCaption([caption, rank, photo, cosine, found, cosines]) {
  const wrong = found.map((at, n) => make("li", {}, linked(at), make("br"),
    make("span", { class: "bad" }, `✗ ${n + 1}. `), cosines[n].toFixed(3)));
  return make("li", { class: "failure" },
    make("div", {}, linked(photo, caption), make("p", { class: "rank" },
      make("span", { class: "good" }, `✓ rank ${number(rank)} `), cosine.toFixed(3))),
    make("div", {}, make("p", { class: "words" }, written(captions.text[caption])),
      make("ul", { class: "row" }, ...wrong)));
}

function turn(by) {
  fail.page += by;
  showFailures();
  $("failures").scrollIntoView();
}

for (const each of document.querySelectorAll("[name=way]")) {
  each.addEventListener("change", () => { fail.way = each.value; filterFailures(); });
}
$("fail-text").addEventListener("input", () => {
  fail.words = wordsOf($("fail-text").value);
  filterFailures();
});
$("fail-order").addEventListener("change", () => {
  fail.near = $("fail-order").value === "near";
  filterFailures();
});
$("fail-back").addEventListener("click", () => turn(-1));
$("fail-next").addEventListener("click", () => turn(1));
$("fail-tools").hidden = false;
// A browser that goes back to the page keeps what was chosen in its fields.
fail.way = document.querySelector("[name=way]:checked").value;
fail.near = $("fail-order").value === "near";
fail.words = wordsOf($("fail-text").value);
filterFailures();
search();

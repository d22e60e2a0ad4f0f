// What steers the map: the card of a chosen photo, the groups' buttons, pointers and keys.

function showCard(chosen) {
  if (!chosen) {
    $("map-card").replaceChildren(make("p", { class: "quiet" }, "Hover over a point, or tap it, to "
      + "see the photo and its captions."));
    return;
  }
  const { photo, caption } = chosen;
  const group = photos.cluster[photo];
  const own = captionsOf[photo].map((at) =>
    make("li", { class: at === caption ? "own" : "" }, written(captions.text[at])));
  const kept = map.kept === chosen;
  $("map-card").replaceChildren(
    picture(photo, "photo"),
    make("p", { class: "quiet" }, written(photos.name[photo]),
      group === null ? " · not on the map" : "",
      group === null ? null : make("br"), group === null ? null : `group: ${data.clusters[group]}`,
      kept ? make("br") : null, kept ? "kept; Esc lets go" : null),
    own.length ? make("ul", {}, ...own) : make("p", { class: "quiet" }, "no captions"));
}

function showGroups() {
  const buttons = data.clusters.map((name, group) => {
    const count = placed.photos.filter((at) => photos.cluster[at] === group).length;
    const key = make("span", { class: `key g${group}` });
    const button = make("button", { type: "button", "aria-pressed": "false" }, key, written(name),
      ` ${number(count)}`);
    button.title = `Show this group alone; ${number(count)} photos`;
    button.addEventListener("click", () => {
      if (!map.groups.delete(group)) map.groups.add(group);
      button.setAttribute("aria-pressed", map.groups.has(group));
      draw();
    });
    return make("li", {}, button);
  });
  $("map-legend").replaceChildren(...buttons);
  middles = data.clusters.map((_, group) => {
    const mine = placed.photos.filter((at) => photos.cluster[at] === group);
    if (!mine.length) return null;
    const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
    const x = median(mine.map((at) => photos.x[at])), y = median(mine.map((at) => photos.y[at]));
    // The photo nearest to the median: a group in two parts has none there.
    const far = (at) => Math.hypot(photos.x[at] - x, photos.y[at] - y);
    const best = mine.reduce((one, other) => (far(other) < far(one) ? other : one));
    return [photos.x[best], photos.y[best]];
  });
}

// Pointers: one moves the map, two zoom it; a press that hardly moved chooses.

const pressed = new Map();
let travelled = 0;
const here = (event) => [event.offsetX, event.offsetY];

canvas.addEventListener("pointerdown", (event) => {
  pressed.set(event.pointerId, here(event));
  if (pressed.size === 1) travelled = 0;
  canvas.setPointerCapture(event.pointerId);
});

canvas.addEventListener("pointermove", (event) => {
  const [x, y] = here(event), before = pressed.get(event.pointerId);
  if (!before) {
    const found = pick(x, y, NEAR);
    canvas.classList.toggle("over", found !== null);
    const same = found?.photo === map.hover?.photo && found?.caption === map.hover?.caption;
    if (!same) choose(found, false);
    return;
  }
  const other = [...pressed].find(([id]) => id !== event.pointerId)?.[1];
  if (other) {
    const apart = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]) || 1;
    zoom(apart([x, y], other) / apart(before, other), (x + other[0]) / 2, (y + other[1]) / 2);
    move((x - before[0]) / 2, (y - before[1]) / 2);
    travelled = 99;
  } else {
    travelled += Math.abs(x - before[0]) + Math.abs(y - before[1]);
    if (travelled > 5) {
      canvas.classList.add("moving");
      move(x - before[0], y - before[1]);
    }
  }
  pressed.set(event.pointerId, [x, y]);
});

function release(event) {
  const was = pressed.delete(event.pointerId);
  canvas.classList.remove("moving");
  if (!was || event.type === "pointercancel" || travelled > 5 || pressed.size) return;
  choose(pick(...here(event), event.pointerType === "mouse" ? NEAR : NEAR_TOUCH), true);
}
canvas.addEventListener("pointerup", release);
canvas.addEventListener("pointercancel", release);
canvas.addEventListener("pointerleave", () => { if (!pressed.size && map.hover) choose(null, false); });

canvas.addEventListener("wheel", (event) => {
  // At its smallest the map lets the page scroll on.
  if (event.deltaY > 0 && view.scale <= view.fit * 1.001) return;
  event.preventDefault();
  const lines = event.deltaMode === 1 ? 30 : 1;
  zoom(Math.exp(Math.min(Math.max(-event.deltaY * lines, -240), 240) / 400), ...here(event));
}, { passive: false });

// Keys: only while the map is in focus, and none that the browser itself needs.

function walk() {
  const left = placed.photos.filter((at) => !map.walked.has(at) && full("photos", at));
  if (!left.length) return map.walked.clear();
  const far = (at) => Math.hypot(photos.x[at] - view.x, photos.y[at] - view.y);
  const next = left.reduce((best, at) => (far(at) < far(best) ? at : best));
  map.walked.add(next);
  choose({ photo: next, caption: null }, true);
}

const KEYS = {
  ArrowLeft: () => move(60, 0), ArrowRight: () => move(-60, 0),
  ArrowUp: () => move(0, 60), ArrowDown: () => move(0, -60),
  "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), 0: showAll,
  n: walk, N: walk, Escape: () => choose(null, true),
};

canvas.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
  event.preventDefault();
  KEYS[event.key]();
});
canvas.addEventListener("blur", () => map.walked.clear());

$("map-in").addEventListener("click", () => zoom(1.6));
$("map-out").addEventListener("click", () => zoom(1 / 1.6));
$("map-all").addEventListener("click", showAll);
$("map-text").addEventListener("input", search);
for (const id of ["map-images", "map-captions", "map-clusters"]) {
  $(id).addEventListener("change", () => {
    $("map-legend").hidden = !grouped();
    draw();
  });
}

if (placed.photos.length) {
  for (const id of ["map-tools", "map-stage", "map-keys"]) $(id).hidden = false;
  showGroups();
  showCard(null);
  readColors();
  new ResizeObserver(measure).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", readColors);
}

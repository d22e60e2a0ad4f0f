// The map: photos are discs, captions triangles, on a canvas that moves and zooms.

const NEAR = 10, NEAR_TOUCH = 22, CLOSEST = 60, HITS = 12;
const canvas = $("map-canvas"), pen = canvas.getContext("2d");
const view = { scale: 1, fit: 1, x: 0, y: 0, width: 0, height: 0 };
const kinds = { photos, captions };
const placed = {};
for (const [kind, each] of Object.entries(kinds)) {
  placed[kind] = [...each.x.keys()].filter((at) => each.x[at] !== null);
}
const map = { hover: null, kept: null, words: [], groups: new Set(), found: null, walked: new Set() };
const loaded = new Map();
let colors = [], inks = {}, drawing = 0, middles = [];

// Places.

const toX = (x) => (x - view.x) * view.scale + view.width / 2;
const toY = (y) => (y - view.y) * view.scale + view.height / 2;

function measure() {
  // Without the border, as the pointer's place on the canvas is told without it too.
  const [wide, high] = [canvas.clientWidth, canvas.clientHeight], before = view.fit;
  view.width = wide;
  view.height = high;
  const sharp = window.devicePixelRatio || 1;
  canvas.width = Math.round(wide * sharp);
  canvas.height = Math.round(high * sharp);
  pen.setTransform(sharp, 0, 0, sharp, 0, 0);
  view.fit = (Math.min(wide, high) / data.grid) * 0.92 || 1;
  if (!view.started) Object.assign(view, { started: true, scale: view.fit, x: data.grid / 2, y: data.grid / 2 });
  else view.scale *= view.fit / before;
  draw();
}

function zoom(times, x = view.width / 2, y = view.height / 2) {
  const scale = Math.min(Math.max(view.scale * times, view.fit), view.fit * CLOSEST);
  // What lies below the pointer stays below it.
  view.x += (x - view.width / 2) * (1 / view.scale - 1 / scale);
  view.y += (y - view.height / 2) * (1 / view.scale - 1 / scale);
  view.scale = scale;
  move(0, 0);
}

function move(right, down) {
  const keep = (value) => Math.min(Math.max(value, 0), data.grid);
  view.x = keep(view.x - right / view.scale);
  view.y = keep(view.y - down / view.scale);
  draw();
}

function showAll() {
  Object.assign(view, { scale: view.fit, x: data.grid / 2, y: data.grid / 2 });
  draw();
}

// Which points are shown, and which of them in full.

const shows = (kind) => $(kind === "photos" ? "map-images" : "map-captions").checked;
const grouped = () => $("map-clusters").checked;

function full(kind, at) {
  if (map.groups.size && !map.groups.has(kinds[kind].cluster[at])) return false;
  return !map.found || map.found[kind].has(at);
}

function search() {
  map.words = wordsOf($("map-text").value);
  map.found = null;
  if (map.words.length) {
    const of = { photos: new Set(), captions: new Set() };
    plainCaptions.forEach((text, at) => {
      if (!holds(text, map.words)) return;
      of.captions.add(at);
      of.photos.add(captions.photo[at]);
    });
    of.byName = new Set();
    plainNames.forEach((name, at) => holds(name, map.words) && of.photos.add(at) && of.byName.add(at));
    map.found = of;
  }
  tellFound();
  draw();
}

function tellFound() {
  const found = map.found;
  $("map-status").textContent = found
    ? `${number(found.captions.size)} of ${number(captions.text.length)} captions hold these words; `
      + `${number(found.photos.size)} of ${number(photos.name.length)} photos are shown in full`
    : "";
  const first = found ? [...found.captions].slice(0, HITS) : [];
  const named = found ? [...found.byName].slice(0, HITS - first.length) : [];
  $("map-hits").replaceChildren(
    ...first.map((at) => hit(captions.text[at], captions.photo[at], at)),
    ...named.map((at) => hit(photos.name[at], at, null)));
}

function hit(words, photo, caption) {
  const button = make("button", { type: "button" }, written(words));
  button.addEventListener("click", () => showOnMap(photo, caption));
  return make("li", {}, button);
}

// Drawing, once for each frame however often it is asked for.

function draw() {
  if (!drawing) drawing = requestAnimationFrame(() => { drawing = 0; paint(); });
}

function readColors() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(name).trim();
  colors = [...Array(8).keys()].map((n) => read(`--g${n}`));
  inks = { ink: read("--ink"), soft: read("--soft"), raised: read("--raised"), accent: read("--accent") };
  draw();
}

function paint() {
  pen.clearRect(0, 0, view.width, view.height);
  const size = Math.min(Math.sqrt(view.scale / view.fit), 3.5);
  for (const whole of [false, true]) {
    pen.globalAlpha = whole ? 0.85 : 0.12;
    if (shows("captions")) paintPoints("captions", whole, 2.6 * size);
    if (shows("photos")) paintPoints("photos", whole, 3.4 * size);
  }
  pen.globalAlpha = 1;
  paintThumbs();
  if (grouped()) paintNames();
  paintPair(map.hover || map.kept, size);
}

const onScreen = (x, y, by = 20) => x > -by && y > -by && x < view.width + by && y < view.height + by;

function paintPoints(kind, whole, size) {
  const { x, y, cluster } = kinds[kind];
  for (const at of placed[kind]) {
    const px = toX(x[at]), py = toY(y[at]);
    if (!onScreen(px, py) || full(kind, at) !== whole) continue;
    pen.fillStyle = grouped() ? colors[cluster[at]] : kind === "photos" ? colors[0] : colors[1];
    shape(kind, px, py, size);
    pen.fill();
  }
}

function shape(kind, x, y, size) {
  pen.beginPath();
  if (kind === "photos") return pen.arc(x, y, size, 0, 7);
  pen.moveTo(x, y - size * 1.15);
  pen.lineTo(x + size, y + size * 0.8);
  pen.lineTo(x - size, y + size * 0.8);
  pen.closePath();
}

function paintThumbs() {
  if (!shows("photos") || view.scale < view.fit * 3) return;
  const near = placed.photos.filter((at) => photos.thumb[at] && full("photos", at)
    && onScreen(toX(photos.x[at]), toY(photos.y[at])));
  if (near.length > 90) return;
  const side = Math.min(36 + 3 * (view.scale / view.fit), 84);
  for (const at of near) {
    const image = loadedPhoto(at);
    if (!image.complete || !image.naturalWidth) continue;
    const share = side / Math.max(image.naturalWidth, image.naturalHeight);
    const width = image.naturalWidth * share, height = image.naturalHeight * share;
    const left = toX(photos.x[at]) - width / 2, top = toY(photos.y[at]) - height / 2;
    pen.drawImage(image, left, top, width, height);
    pen.lineWidth = 2;
    pen.strokeStyle = colors[grouped() ? photos.cluster[at] : 0];
    pen.strokeRect(left, top, width, height);
  }
}

function loadedPhoto(at) {
  if (!loaded.has(at)) {
    const image = new Image();
    image.onload = draw;
    image.src = address(at);
    loaded.set(at, image);
  }
  return loaded.get(at);
}

function paintNames() {
  pen.font = "600 13px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.lineWidth = 5;
  pen.lineJoin = "round";
  const taken = [];
  middles.forEach((middle, group) => {
    if (!middle || (map.groups.size && !map.groups.has(group))) return;
    const wide = pen.measureText(data.clusters[group]).width / 2 + 4;
    if (!onScreen(toX(middle[0]), toY(middle[1]), 0)) return;
    const x = Math.max(wide, Math.min(toX(middle[0]), view.width - wide));
    // A name that would cover another moves up or down a line or two, or is left to the list below.
    const free = (at) => taken.every((each) => Math.abs(each.y - at) > 18 || Math.abs(each.x - x) > each.wide + wide);
    const y = [0, -18, 18, -36, 36, -54, 54].map((by) => toY(middle[1]) + by).find(free);
    if (y === undefined) return;
    taken.push({ x, y, wide });
    pen.strokeStyle = inks.raised;
    pen.strokeText(data.clusters[group], x, y);
    pen.fillStyle = colors[group];
    pen.fillText(data.clusters[group], x, y);
  });
}

function paintPair(chosen, size) {
  if (!chosen) return;
  const { photo, caption } = chosen, home = [photos.x[photo], photos.y[photo]];
  pen.strokeStyle = inks.ink;
  pen.lineWidth = 1.5;
  const mark = (kind, at, wide) => {
    pen.fillStyle = colors[kinds[kind].cluster[at]];
    shape(kind, toX(kinds[kind].x[at]), toY(kinds[kind].y[at]), wide);
    pen.fill();
    pen.stroke();
  };
  const own = captionsOf[photo].filter((at) => captions.x[at] !== null);
  if (home[0] !== null) {
    for (const at of own) {
      pen.beginPath();
      pen.moveTo(toX(home[0]), toY(home[1]));
      pen.lineTo(toX(captions.x[at]), toY(captions.y[at]));
      pen.stroke();
    }
  }
  for (const at of own) mark("captions", at, (at === caption ? 6 : 4) * Math.max(1, size / 1.5));
  if (home[0] !== null) mark("photos", photo, 6 * Math.max(1, size / 1.5));
}

// Choosing a point.

function pick(x, y, reach) {
  let best = null, least = reach * reach;
  for (const kind of ["photos", "captions"]) {
    if (!shows(kind)) continue;
    for (const at of placed[kind]) {
      const right = toX(kinds[kind].x[at]) - x, down = toY(kinds[kind].y[at]) - y;
      const far = right * right + down * down;
      if (far < least && full(kind, at)) [best, least] = [[kind, at], far];
    }
  }
  if (!best) return null;
  const [kind, at] = best;
  return kind === "photos" ? { photo: at, caption: null } : { photo: captions.photo[at], caption: at };
}

function choose(what, keep) {
  if (keep) map.kept = what;
  map.hover = keep ? null : what;
  showCard(map.hover || map.kept);
  draw();
}

function showOnMap(photo, caption) {
  const place = caption !== null && captions.x[caption] !== null
    ? [captions.x[caption], captions.y[caption]] : [photos.x[photo], photos.y[photo]];
  if (place[0] !== null) {
    [view.x, view.y] = place;
    view.scale = Math.max(view.scale, view.fit * 5);
  }
  choose({ photo, caption }, true);
  $("map-stage").scrollIntoView({ block: "nearest" });
}

"use strict";
// Points on a canvas: drawn anew whenever something changes, found again by the nearest one.
const data = JSON.parse(document.getElementById("data").textContent);
const by = (id) => document.getElementById(id);
const [canvas, card] = [by("map"), by("card")];
const pen = canvas.getContext("2d");
const n = data.x.length;
const hidden = new Set();
const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
const texts = data.title.map((title, i) => plain(`${title} ${data.category[i]} ${data.id[i]}`));
let view = { scale: 1, x: 0, y: 0 }; // of the middle of the window, in the plane
let size = { wide: 1, high: 1, unit: 1 };
let matches = null, chosen = -1, colours = [], waiting = false;

// A circle, a square, a triangle, a diamond: who does not tell two colours apart tells these.
const corners = [null, [[-.9, -.9], [.9, -.9], [.9, .9], [-.9, .9]], [[0, -1.2], [1.1, .8], [-1.1, .8]], [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]]];
function fill(pen, group, x, y, radius) {
  const shape = corners[(group + Math.floor(group / corners.length)) % corners.length];
  pen.fillStyle = colours[group];
  pen.beginPath();
  if (shape) shape.forEach(([right, down], i) => pen[i ? "lineTo" : "moveTo"](x + right * radius, y + down * radius));
  else pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fill();
}

const screen = (i) => [
  size.wide / 2 + (data.x[i] - view.x) * view.scale * size.unit,
  size.high / 2 - (data.y[i] - view.y) * view.scale * size.unit,
];
const seen = (i) => !hidden.has(data.group[i]) && (matches === null || matches.has(i));

function draw() {
  waiting = false;
  pen.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  pen.clearRect(0, 0, size.wide, size.high);
  const radius = Math.min(9, (n > 1500 ? 2.6 : n > 300 ? 3.4 : 5) * Math.sqrt(view.scale));
  // What was not found lies below, pale.
  for (const found of matches === null ? [true] : [false, true]) {
    pen.globalAlpha = found ? .85 : .12;
    for (let i = 0; i < n; i++) {
      if (hidden.has(data.group[i]) || (matches !== null && matches.has(i) !== found)) continue;
      const [x, y] = screen(i);
      if (x < -20 || y < -20 || x > size.wide + 20 || y > size.high + 20) continue;
      fill(pen, data.group[i], x, y, matches !== null && found ? radius * 1.4 : radius);
    }
  }
  pen.globalAlpha = 1;
  if (chosen >= 0) {
    const [x, y] = screen(chosen);
    pen.lineWidth = 2.5;
    pen.strokeStyle = colours.ink;
    pen.beginPath();
    pen.arc(x, y, radius + 4, 0, 2 * Math.PI);
    pen.stroke();
  }
  place();
}
function redraw() {
  if (!waiting) requestAnimationFrame(draw);
  waiting = true;
}

function place() { // the card, beside its point and within the map
  if (chosen < 0) return;
  const [x, y] = screen(chosen), [wide, high] = [card.offsetWidth, card.offsetHeight];
  let [left, top] = [x + 14, y - high / 2];
  if (left + wide > size.wide) left = x - 14 - wide;
  if (left < 0) [left, top] = [x - wide / 2, y + 14 + high < size.high ? y + 14 : y - 14 - high];
  card.style.left = `${Math.max(4, Math.min(left, size.wide - wide - 4))}px`;
  card.style.top = `${Math.max(4, Math.min(top, size.high - high - 4))}px`;
}
function choose(i, say = false) {
  if (i === chosen) return;
  chosen = i;
  card.hidden = i < 0;
  if (i >= 0) {
    const photo = by("photo");
    photo.hidden = !data.photo[i];
    if (data.photo[i]) photo.src = data.photo[i];
    by("title").textContent = data.title[i] || data.id[i];
    for (const name of ["price", "category", "id"]) by(name).textContent = data[name][i];
    if (say) by("said").textContent = [data.title[i] || data.id[i], data.price[i], data.category[i]].filter(Boolean).join(", ");
  }
  redraw();
}
function nearest(x, y, within, allowed = () => true) {
  let best = -1, least = within ** 2;
  for (let i = 0; i < n; i++) {
    if (!seen(i)) continue;
    const [a, b] = screen(i), far = (a - x) ** 2 + (b - y) ** 2;
    if (far < least && allowed(i, a - x, b - y)) [best, least] = [i, far];
  }
  return best;
}

function zoom(times, x = size.wide / 2, y = size.high / 2) { // what is at (x, y) stays there
  const scale = Math.min(60, Math.max(.8, view.scale * times));
  const share = (1 / view.scale - 1 / scale) / size.unit;
  view = { scale, x: view.x + (x - size.wide / 2) * share, y: view.y - (y - size.high / 2) * share };
  redraw();
}
function whole() {
  view = { scale: 1, x: 0, y: 0 };
  redraw();
}
function move(dx, dy) {
  view.x -= dx / view.scale / size.unit;
  view.y += dy / view.scale / size.unit;
  redraw();
}
function bring(i) { // into sight
  const [x, y] = screen(i), edge = 40;
  if (x < edge || y < edge || x > size.wide - edge || y > size.high - edge) [view.x, view.y] = [data.x[i], data.y[i]];
}

const fingers = new Map();
const at = (event) => [event.offsetX, event.offsetY];
canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, at(event));
  canvas.classList.add("moving");
});
canvas.addEventListener("pointermove", (event) => {
  const [before, now] = [fingers.get(event.pointerId), at(event)];
  if (!before) return choose(nearest(...now, 14));
  if (fingers.size === 2) {
    const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
    const apart = (one) => Math.hypot(one[0] - other[0], one[1] - other[1]);
    zoom(apart(now) / Math.max(apart(before), 1), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
  } else move(now[0] - before[0], now[1] - before[1]);
  fingers.set(event.pointerId, now);
});
for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => {
  fingers.delete(event.pointerId);
  if (!fingers.size) canvas.classList.remove("moving");
  if (end === "pointerup") choose(nearest(...at(event), 22), true);
});
canvas.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse" && !fingers.size) choose(-1); });
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? .05 : .0015)), ...at(event));
}, { passive: false });
const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
canvas.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (ways[event.key]) step(...ways[event.key]);
  else if (event.key === "+" || event.key === "=") zoom(1.4);
  else if (event.key === "-") zoom(1 / 1.4);
  else if (event.key === "0") whole();
  else if (event.key === "Escape") choose(-1);
  else return;
  event.preventDefault();
});
function step(right, down) {
  if (chosen < 0) return go(nearest(size.wide / 2, size.high / 2, Infinity));
  const [x, y] = screen(chosen);
  // Within 45 degrees of the way that was asked for.
  go(nearest(x, y, Infinity, (i, dx, dy) => i !== chosen && dx * right + dy * down > Math.abs(dx * down) + Math.abs(dy * right)));
}
function go(i) {
  if (i < 0) return;
  bring(i);
  choose(i, true);
}

let turn = 0;
by("words").addEventListener("input", (event) => {
  const words = plain(event.target.value).split(/\s+/).filter(Boolean);
  matches = words.length ? new Set([...texts.keys()].filter((i) => words.every((word) => texts[i].includes(word)))) : null;
  by("found").textContent = matches === null ? "" : `${matches.size} found`;
  turn = 0;
  choose(-1);
  redraw();
});
by("words").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !matches?.size) return;
  const found = [...matches].filter(seen);
  if (found.length) go(found[turn++ % found.length]);
});
by("in").addEventListener("click", () => zoom(1.6));
by("out").addEventListener("click", () => zoom(1 / 1.6));
by("whole").addEventListener("click", whole);

function legend() {
  const counts = data.names.map(() => 0);
  for (const group of data.group) counts[group]++;
  data.names.forEach((name, group) => {
    const [row, button, sign] = ["li", "button", "canvas"].map((tag) => document.createElement(tag));
    sign.width = sign.height = 28;
    sign.setAttribute("aria-hidden", "true");
    button.type = "button";
    button.setAttribute("aria-pressed", "true");
    button.append(sign, `${name} (${counts[group].toLocaleString("en")})`);
    button.addEventListener("click", () => {
      if (!hidden.delete(group)) hidden.add(group);
      button.setAttribute("aria-pressed", String(!hidden.has(group)));
      if (chosen >= 0 && !seen(chosen)) choose(-1);
      redraw();
    });
    row.append(button);
    by("legend").append(row);
  });
}
function colour() { // by the reader's own setting
  const style = getComputedStyle(document.documentElement);
  colours = data.names.map((_, group) => style.getPropertyValue(`--g${Math.min(group, 8)}`).trim());
  colours.ink = style.getPropertyValue("--ink").trim();
  document.querySelectorAll("#legend canvas").forEach((sign, group) => {
    const small = sign.getContext("2d");
    small.clearRect(0, 0, sign.width, sign.height);
    fill(small, group, 14, 14, 9);
  });
  redraw();
}
const reach = (places) => places.reduce((most, place) => Math.max(most, Math.abs(place)), .1);
function resize() {
  const box = canvas.getBoundingClientRect();
  size = { wide: box.width, high: box.height, unit: .46 * Math.min(box.width / reach(data.x), box.height / reach(data.y)) };
  [canvas.width, canvas.height] = [box.width * devicePixelRatio, box.height * devicePixelRatio].map(Math.round);
  redraw();
}
legend();
colour();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", colour);
new ResizeObserver(resize).observe(canvas);
resize();

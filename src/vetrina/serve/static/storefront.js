// The storefront: who is asking, what for, the lists, and what a click does to the next list.
import { ago, avatar, card, chart, el, facts, money, photo, shortTitle, skeletons, strip } from "./draw.js";
import { photoOf, productShown, shownChip, takePhotos } from "./shown.js";

const PAGE = 24;
const DID = { view: "viewed", click: "clicked", cart: "put in the cart", purchase: "bought", rate: "rated", hide: "hid" };
const $ = (id) => document.getElementById(id);
const calm = matchMedia("(prefers-reduced-motion: reduce)");

const state = {
  shop: { name: "Vetrina", currency: "", simulated: false },
  shoppers: [], // personas, then the stranger
  query: "",
  shown: null, // a photo or a product that results are to be like; words stand beside it
  filters: {},
  compare: false,
  sides: [], // one list, or two when comparing
};
const before = new Map(); // the last order of each (shopper, query, what is shown, filters)

// --- talking to the API ------------------------------------------------------

async function ask(method, path, body) {
  let answer;
  try {
    answer = await fetch(path, {
      method, headers: body ? { "Content-Type": "application/json" } : {}, body: body && JSON.stringify(body),
    });
  } catch {
    throw new Error("The shop cannot be reached. Is the server still running?");
  }
  const told = await answer.json().catch(() => null);
  if (!answer.ok) throw new Error(told?.detail || `The shop answered ${answer.status}.`);
  return told;
}

function toast(text, kind = "error") {
  const note = el("div", { class: `toast ${kind}`, role: kind === "error" ? "alert" : "status" }, el("p", {}, text),
    el("button", { type: "button", "aria-label": "Dismiss", click: () => note.remove() }, "×"));
  $("toasts").replaceChildren(note);
  // A toast inside an open dialog's top layer would be hidden behind it.
  ($("panel").open ? $("panel") : document.body).append($("toasts"));
  setTimeout(() => note.remove(), kind === "error" ? 10000 : 6000);
}

const guarded = (work) => async (...given) => {
  try {
    return await work(...given);
  } catch (error) {
    toast(error.message);
    return null;
  }
};

// --- who is shopping ---------------------------------------------------------

function stranger() {
  let id = sessionStorage.getItem("stranger");
  if (!id) {
    id = `visitor-${Math.random().toString(36).slice(2, 12)}`;
    sessionStorage.setItem("stranger", id);
  }
  return { id, name: "A stranger", summary: "Nothing known yet", stranger: true };
}

function drawChips() {
  const chosen = state.sides[0].shopper.id;
  const moved = document.activeElement?.name === "as";
  $("chips").replaceChildren(...state.shoppers.map((shopper) => el("label", { class: "chip" },
    el("input", {
      title: shopper.summary, type: "radio", name: "as", value: shopper.id, checked: shopper.id === chosen,
      change: () => choose(0, shopper.id),
    }),
    avatar(shopper), el("strong", {}, shopper.name), el("span", { class: "taste" }, shopper.summary))));
  if (moved) $("chips").querySelector("input:checked")?.focus();
  $("who-title").textContent = state.compare ? "Two shoppers, one question" : "Shopping as";
  $("chips").hidden = state.compare || state.shoppers.length < 2;
  $("shopper-id").hidden = state.compare || state.shoppers.length > 1;
}

function choose(side, id) {
  const shopper = state.shoppers.find((one) => one.id === id);
  if (!shopper) return;
  state.sides[side].shopper = shopper;
  state.sides[side].after = "";
  load(side);
  if (side === 0) recent();
  remember();
}

const recent = guarded(async () => {
  const box = $("recent");
  const { shopper } = state.sides[0];
  box.hidden = state.compare;
  if (state.compare) return;
  const { events } = await ask("GET", `/v1/shoppers/${encodeURIComponent(shopper.id)}?k=60`);
  if (shopper !== state.sides[0].shopper) return;
  const latest = [...new Map(events.toReversed().map((event) => [event.item, event])).values()].reverse();
  const first = latest.toSorted((a, b) => b.time - a.time).slice(0, 12);
  if (!first.length) {
    box.replaceChildren(el("p", {}, shopper.stranger || !state.shop.simulated
      ? "Nothing known of this shopper yet. Open a few products, and see the list change."
      : "Nothing known of this shopper any more."));
    return;
  }
  const held = box.contains(document.activeElement);
  const forget = el("button", { class: "quiet forget", type: "button" }, shopper.stranger ? "Forget me" : `Forget ${shopper.name}`);
  forget.addEventListener("click", () => confirmForget(forget, shopper));
  box.replaceChildren(el("p", {}, `${shopper.stranger ? "You" : shopper.name} lately`),
    el("ul", { class: "thumbs" }, first.map((event) => {
      const what = `${event.title}: ${DID[event.kind] || event.kind}, ${ago(event.time)}`;
      return el("li", {}, el("button", { type: "button", title: what, "aria-label": what, click: () => openProduct(event, 0) }, photo(event, event.title)));
    })), forget);
  if (held) box.querySelector("button").focus();
});

function confirmForget(button, shopper) {
  const yes = el("button", { class: "danger", type: "button" }, "Yes, erase");
  const no = el("button", { class: "quiet", type: "button", click: () => recent() }, "Keep");
  const question = el("span", { class: "confirm" }, `Erase all that is kept of ${shopper.stranger ? "you" : shopper.name}?`, yes, no);
  yes.addEventListener("click", guarded(async () => {
    const erased = await ask("DELETE", `/v1/shoppers/${encodeURIComponent(shopper.id)}`);
    toast(`Erased: ${erased.window} recent events, ${erased.log} rows of the log.`, "done");
    state.sides[0].after = "forgetting";
    await Promise.all([load(0), recent()]);
  }));
  button.replaceWith(question);
  no.focus();
}

// --- the lists ---------------------------------------------------------------

function newSide(shopper) {
  return { shopper, k: PAGE, turn: 0, ranking: null, after: "", request: "", nodes: null };
}

const load = guarded(async (number) => {
  const side = state.sides[number];
  const turn = ++side.turn;
  const list = frame(side, number);
  list.grid.setAttribute("aria-busy", "true");
  if (!side.ranking) {
    list.grid.replaceChildren(...skeletons(state.compare ? 6 : 10));
    list.foot.replaceChildren();
  }
  const asked = { shopper: side.shopper.id, k: side.k, filters: state.filters };
  try {
    const ranking = state.query || state.shown
      ? await ask("POST", "/v1/search", { text: state.query, ...state.shown?.body, ...asked })
      : await ask("POST", "/v1/recommend", asked);
    if (turn !== side.turn) return;
    side.ranking = ranking;
    side.request = `s-${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 8)}`;
    drawLists();
  } catch (error) {
    if (turn !== side.turn) return;
    if (side.ranking) throw error;
    list.grid.replaceChildren();
    list.foot.replaceChildren(trouble(error, () => load(number)));
  } finally {
    if (turn === side.turn) list.grid.setAttribute("aria-busy", "false");
  }
});

/** The places of a list's heading, notes and cards, made once for each side. */
function frame(side, number) {
  if (side.nodes) return side.nodes;
  const nodes = {
    head: el("div", { class: "list-head" }), grid: el("ul", { class: "grid" }), foot: el("div", { class: "list-foot" }),
  };
  nodes.root = el("section", { class: "list", "aria-label": `Products, list ${number + 1}` }, nodes.head, nodes.grid, nodes.foot);
  side.nodes = nodes;
  $("lists").append(nodes.root);
  return nodes;
}

function drawLists() {
  document.body.classList.toggle("comparing", state.compare);
  state.sides.forEach((side, number) => side.ranking && drawList(side, number));
  const simulated = state.sides.some((side) => side.ranking?.simulated) || state.shop.simulated;
  $("simulated").hidden = !simulated;
}

function drawList(side, number) {
  const { ranking, shopper } = side;
  const { head, grid, foot } = frame(side, number);
  const order = ranking.results.map((result) => result.item);
  const moves = movesOf(side, order);
  const other = state.compare ? state.sides[1 - number] : null;
  const held = grid.contains(document.activeElement) && document.activeElement;
  const cards = new Map([...grid.children].map((node) => [node.dataset.item, node.getBoundingClientRect()]));
  grid.replaceChildren(...ranking.results.map((product) => card(product, {
    currency: state.shop.currency, move: moves.get(product.item), elsewhere: other && placeIn(other, product.item),
    open: () => openProduct(product, number), why: () => openReasons(product),
  })));
  if (held) keepFocus(grid, held);
  animate(grid, cards);
  const moved = [...moves.values()].filter((move) => move !== 0).length;
  const changed = side.after && `Ranked anew after ${side.after}: ${moved || "none"} of ${order.length} products moved.`;
  const unseen = head.getBoundingClientRect().bottom < 0;
  if (changed && unseen && side.told !== ranking) toast(changed, "done");
  else $("status").textContent = changed || `${order.length} products for ${shopper.name}.`;
  side.told = ranking;
  head.replaceChildren(el("div", {}, el("h1", {}, title(side)), state.compare ? picker(side, number) : null),
    el("p", { class: "basis" }, basis(side)), changed ? el("p", { class: "changed" }, changed) : "",
    ...ranking.notes.map((note) => el("p", { class: "note" }, note)));
  const more = order.length === side.k && side.k < 240
    ? el("button", { type: "button", click: () => { side.k += PAGE; load(number); } }, "Show more") : null;
  foot.replaceChildren(order.length ? more || "" : nothing());
  $("snapshot").textContent = `Snapshot ${ranking.snapshot}`;
}

function title(side) {
  const name = side.shopper.stranger ? "a stranger" : side.shopper.name;
  const what = question();
  return what ? `${what} for ${name}` : `For ${name}`;
}

/** What is asked for, in words: “red” like your photo. */
function question() {
  const words = state.query && `“${state.query}”`;
  if (!state.shown) return words;
  return words ? `${words}, like ${state.shown.name},` : `Like ${state.shown.name},`;
}

function basis(side) {
  if (state.compare && state.sides.every((one) => one.ranking)) {
    const [a, b] = state.sides.map((one) => new Set(one.ranking.results.map((result) => result.item)));
    const shared = [...a].filter((item) => b.has(item)).length;
    return `${shared} of ${side.ranking.results.length} products are on both lists.`;
  }
  if (state.shown) {
    return side.ranking.personal
      ? `Ranked by likeness, and a little by what ${side.shopper.stranger ? "you" : side.shopper.name} did lately.` : "Ranked by likeness.";
  }
  if (!side.ranking.personal) return "Nothing is known of this shopper: the order is the same for every stranger.";
  const known = state.shop.simulated && side.shopper.summary && !side.shopper.stranger;
  return [known && el("span", { class: "further" }, `Simulated taste: ${side.shopper.summary}. `),
    `Ranked by what ${side.shopper.stranger ? "you" : side.shopper.name} did lately.`];
}

function picker(side, number) {
  return el("label", { class: "picker" }, el("span", { class: "hidden" }, `Shopper of list ${number + 1}`),
    el("select", { change: (event) => choose(number, event.target.value) },
      state.shoppers.map((one) => el("option", { value: one.id, selected: one.id === side.shopper.id }, one.name))));
}

function placeIn(side, item) {
  if (!side.ranking) return null;
  const found = side.ranking.results.find((result) => result.item === item);
  const name = side.shopper.stranger ? "a stranger" : side.shopper.name;
  return found ? `${found.position} for ${name}` : `Not shown to ${name}`;
}

function trouble(error, again) {
  return el("div", { class: "nothing", role: "alert" }, el("p", {}, error.message),
    el("button", { type: "button", click: again }, "Try again"));
}

function nothing() {
  const filtered = Object.keys(state.filters).length > 0;
  return el("div", { class: "nothing" },
    el("p", {}, state.shown ? "Nothing here is like that." : state.query ? `Nothing here answers “${state.query}”${filtered ? " with these filters" : ""}.` : "Nothing here with these filters."),
    filtered ? el("button", { type: "button", click: () => $("filters").reset() }, "Clear the filters") : "",
    state.query || state.shown ? el("button", { type: "button", click: () => { $("query").value = ""; show(null); } }, "See recommendations") : "");
}

/** How many places each product moved since the last list of the same question; empty where there was none. */
function movesOf(side, order) {
  const key = JSON.stringify([side.shopper.id, state.query, state.shown?.key, state.filters]);
  const known = before.get(key);
  if (known?.request === side.request) return known.moves;
  const moves = new Map();
  // A longer list is not a new order: what "Show more" adds has not moved.
  if (known && side.after) {
    order.forEach((item, place) => {
      const old = known.order.indexOf(item);
      if (old >= 0) moves.set(item, old - place);
      else if (place < known.order.length) moves.set(item, "new");
    });
  }
  before.set(key, { order, moves, request: side.request });
  return moves;
}

/** Who works by keyboard stays at the product that was chosen, wherever it went. */
function keepFocus(grid, held) {
  const { item } = held.closest(".card").dataset;
  const node = [...grid.children].find((one) => one.dataset.item === item);
  (node?.querySelector(`.${held.className}`) || $("lists")).focus({ preventScroll: true });
}

/** Let cards glide from where they were to where they are. */
function animate(grid, old) {
  if (calm.matches || !old.size) return;
  for (const node of grid.children) {
    const from = old.get(node.dataset.item);
    const to = node.getBoundingClientRect();
    const timing = { duration: 480, easing: "cubic-bezier(.2,.8,.2,1)" };
    if (from) {
      const [x, y] = [from.left - to.left, from.top - to.top];
      if (x || y) node.animate([{ transform: `translate(${x}px, ${y}px)` }, { transform: "none" }], timing);
    } else node.animate([{ opacity: 0, transform: "scale(.96)" }, { opacity: 1, transform: "none" }], timing);
  }
}

// --- a product, and what is done with it -------------------------------------

let pending = null; // (side, what was done) since the panel was opened

async function record(side, kind, product, more = {}) {
  const event = { shopper: side.shopper.id, kind, item: product.item, request: side.request || null, ...more };
  // Words beside a photo say what is to be different: they alone did not lead here.
  if (state.query && !state.shown) event.query = state.query;
  await ask("POST", "/v1/events", { events: [event] });
  pending = { side, what: `${side.shopper.stranger ? "you" : side.shopper.name} ${DID[kind]} “${shortTitle(product)}”` };
}

function fillPanel(...content) {
  const panel = $("panel");
  panel.replaceChildren(el("button", { class: "close", type: "button", "aria-label": "Close", click: () => panel.close() }, "×"),
    el("div", { class: "panel-body" }, ...content.filter(Boolean)));
  if (!panel.open) panel.showModal();
  panel.querySelector(".close").focus();
  panel.scrollTop = 0;
}

function openReasons(product) {
  fillPanel(el("div", { class: "mini" }, photo(product, product.title || product.item), el("div", {}, product.brand && el("p", { class: "brand" }, product.brand),
    el("h2", { id: "panel-title" }, shortTitle(product)), el("p", { class: "price" }, money(product.price, state.shop.currency)))),
  el("h3", {}, `Why it is number ${product.position}`), chart(product));
}

const openProduct = guarded(async (product, number) => {
  const side = state.sides[number];
  const place = product.position ? { position: product.position } : {};
  const [about] = await Promise.all([
    ask("GET", `/v1/items/${encodeURIComponent(product.item)}`), record(side, "click", product, place),
  ]);
  const price = about.price === null ? {} : { price: about.price };
  const act = (kind, said, more, last) => guarded(async () => {
    await record(side, kind, product, { ...place, ...more });
    toast(said, "done");
    if (last) $("panel").close();
  });
  const similar = el("div", { class: "similar", "aria-busy": "true" });
  fillPanel(el("div", { class: "hero" }, photo(about, about.title), el("div", {},
    about.brand && el("p", { class: "brand" }, about.brand),
    el("h2", { id: "panel-title" }, shortTitle(about)),
    el("p", { class: "price" }, money(about.price, state.shop.currency)),
    el("p", { class: about.in_stock ? "stock" : "stock none" }, about.in_stock ? "In stock" : "Sold out"),
    el("div", { class: "actions" },
      el("button", { class: "primary", type: "button", click: act("cart", "Put in the cart.", { quantity: 1, ...price }) }, "Add to cart"),
      el("button", { type: "button", click: act("purchase", "Bought. Nothing is really sold here.", { quantity: 1, ...price }) }, "Buy now"),
      el("button", { class: "quiet", type: "button", click: () => moreLike(product) }, "More like this"),
      el("button", { class: "quiet", type: "button", click: act("hide", "Hidden: it will not be shown again.", {}, true) }, "Hide")))),
  about.description && el("p", { class: "description" }, about.description),
  product.reasons && el("h3", {}, `Why it is number ${product.position}`), product.reasons && chart(product),
  similar, el("h3", {}, "Details"), facts(about));
  const { results } = await ask("POST", "/v1/similar", { item: product.item, shopper: side.shopper.id, k: 8 });
  similar.setAttribute("aria-busy", "false");
  if (results.length) {
    const open = ({ item, title, brand, photo: has, category }) => openProduct({ item, title, brand, photo: has, category }, number);
    similar.replaceChildren(el("h3", {}, "Similar items"), strip(results, { currency: state.shop.currency, open }));
  }
});

/** The products like one; words that say what is to be different can be typed beside it. */
function moreLike(product) {
  pending = null; // the list that comes is of another question
  $("query").value = "";
  show(productShown(product));
  recent();
  $("panel").close();
  $("query").focus();
}

$("panel").addEventListener("close", () => {
  document.body.append($("toasts"));
  if (!pending) return;
  const { side, what } = pending;
  pending = null;
  side.after = what;
  load(state.sides.indexOf(side));
  recent();
});
$("panel").addEventListener("click", (event) => event.target === $("panel") && $("panel").close());

// --- asking ------------------------------------------------------------------

function search(text) {
  state.query = text.trim();
  reload();
  const [side] = state.sides;
  if (state.query && !state.shown) {
    guarded(ask)("POST", "/v1/events", { events: [{ shopper: side.shopper.id, kind: "search", query: state.query }] });
  }
  remember();
}

/** Show a photo or a product to find what is like it, or nothing; what is typed beside it counts. */
function show(shown) {
  state.shown = shown;
  $("shown").hidden = !shown;
  $("shown").replaceChildren(...(shown ? shownChip(shown, () => { show(null); $("query").focus(); }) : []));
  $("query").placeholder = shown ? "Add words" : "Search the shop";
  if (shown) scrollTo({ top: 0, behavior: calm.matches ? "auto" : "smooth" });
  search($("query").value);
}

takePhotos({
  button: $("camera"), input: $("photo"), field: $("field"),
  take: guarded(async (file) => show(await photoOf(file))),
});

function reload() {
  state.sides.forEach((side, number) => {
    Object.assign(side, { k: PAGE, after: "", ranking: null });
    load(number);
  });
}

function remember() {
  const address = new URLSearchParams();
  if (state.query) address.set("q", state.query);
  const persona = state.shop.simulated && !state.sides[0].shopper.stranger;
  if (persona) address.set("as", state.sides[0].shopper.id);
  history.replaceState(null, "", address.size ? `/?${address}` : "/");
}

$("search").addEventListener("submit", (event) => {
  event.preventDefault();
  search($("query").value);
});

$("shopper-id").addEventListener("submit", (event) => {
  event.preventDefault();
  const id = $("shopper").value.trim();
  state.sides[0].shopper = id ? { id, name: id, summary: "" } : state.shoppers[0];
  reload();
  recent();
});

$("compare").addEventListener("click", () => {
  state.compare = !state.compare;
  $("compare").setAttribute("aria-pressed", String(state.compare));
  $("compare").textContent = state.compare ? "One shopper" : "Compare two shoppers";
  if (state.compare) {
    const [{ shopper }] = state.sides;
    const other = state.shoppers.find((one) => one.id !== shopper.id) || state.shoppers[0];
    state.sides.push(newSide(other));
    load(1);
  } else state.sides.pop().nodes?.root.remove();
  drawChips();
  drawLists();
  recent();
});

function readFilters() {
  const form = new FormData($("filters"));
  const filters = {};
  for (const name of ["category", "colour"]) if (form.get(name)) filters[name] = form.get(name);
  for (const name of ["price_min", "price_max"]) if (form.get(name)) filters[name] = Number(form.get(name));
  if (form.get("in_stock")) filters.in_stock = true;
  state.filters = filters;
  const count = Object.keys(filters).length;
  $("filter-count").textContent = count ? `(${count})` : "";
  $("clear").hidden = !count;
  reload();
}
$("filters").addEventListener("change", readFilters);
$("filters").addEventListener("reset", () => setTimeout(readFilters));
$("filters").addEventListener("submit", (event) => event.preventDefault());

function drawFacets(facets) {
  const form = $("filters").elements;
  form.category.append(...facets.categories.map(({ value, count }) => {
    const levels = value.split(" > ");
    return el("option", { value }, `${"\u2003".repeat(levels.length - 1)}${levels.at(-1)} (${count})`);
  }));
  form.colour.append(...facets.colours.map(({ value, count }) => el("option", { value }, `${value} (${count})`)));
  form.category.closest("label").hidden = !facets.categories.length;
  form.colour.closest("label").hidden = !facets.colours.length;
  for (const [name, end] of [["price_min", facets.price_min], ["price_max", facets.price_max]]) {
    form[name].closest("label").hidden = end === null;
    if (end !== null) form[name].placeholder = String(Math.round(end));
  }
}

async function start() {
  const wide = matchMedia("(min-width: 46rem)");
  $("filter-box").open = wide.matches;
  const [shop, personas] = await Promise.all([ask("GET", "/v1/shop"), ask("GET", "/v1/personas")]);
  state.shop = shop;
  document.title = shop.name;
  $("wordmark").textContent = shop.name;
  $("simulated").hidden = !shop.simulated;
  state.shoppers = [...personas, stranger()];
  const address = new URLSearchParams(location.search);
  const wanted = state.shoppers.find((one) => one.id === address.get("as"));
  $("lists").replaceChildren();
  state.sides = [newSide(wanted || state.shoppers[0])];
  state.query = (address.get("q") || "").trim().slice(0, 512);
  $("query").value = state.query;
  drawChips();
  load(0);
  recent();
  guarded(async () => drawFacets(await ask("GET", "/v1/facets")))();
}

const begin = () => start().catch((error) => $("lists").replaceChildren(trouble(error, begin)));
begin();

// What the page is made of. Text from the catalogue only ever becomes textContent, never markup.

const REASONS = {
  words: "Your words", looks: "Looks", people: "Other shoppers", history: "You and it", taste: "Your taste",
  price: "Price", popularity: "Popularity", shopper: "Your visits", sources: "Found by", given: "Your list",
  behaviour: "What you did", margin: "Margin", common: "In common",
};
// Shares below this are told together in one line, so that a chart still adds up to its score.
const SMALL = 0.005;

/** An element: el("p", {class: "price"}, "€ 5", child, …). Functions become listeners. */
export function el(tag, options = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== "" && child !== false));
  return node;
}

export function money(price, currency) {
  if (price === null || price === undefined) return "";
  const digits = Number.isInteger(price) ? 0 : 2;
  const amount = price.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return currency + (/\w$/.test(currency) ? "\u00a0" : "") + amount;
}

export function signed(share) {
  return (share < 0 ? "−" : "+") + Math.abs(share).toFixed(2);
}

/** A title without the brand that stands above it already. */
export function shortTitle(product) {
  const { title, brand, item } = product;
  if (!title) return item;
  const begins = brand && title.toLowerCase().startsWith(brand.toLowerCase() + " ");
  return begins ? title.slice(brand.length + 1) : title;
}

function hue(text) {
  let sum = 7;
  for (const letter of text) sum = (sum * 31 + letter.codePointAt(0)) % 360;
  return sum;
}

export function avatar(shopper) {
  const face = el("span", { class: "avatar", "aria-hidden": "true" }, shopper.stranger ? "?" : [...shopper.name][0].toUpperCase());
  face.style.setProperty("--hue", hue(shopper.id));
  if (shopper.stranger) face.classList.add("unknown");
  return face;
}

/** A photo, or a drawn stand-in with the initial where there is none. */
export function photo(product, alt = "") {
  const box = el("span", { class: "photo" });
  const standIn = () => {
    const initial = [...(shortTitle(product) || "?")][0].toUpperCase();
    const drawn = el("span", { class: "stand-in", role: alt ? "img" : null, "aria-label": alt || null, "aria-hidden": alt ? null : "true" }, initial);
    drawn.style.setProperty("--hue", hue(product.category?.toString() || product.item));
    box.replaceChildren(drawn);
  };
  if (!product.photo) standIn();
  else {
    const image = el("img", { src: `/photos/${encodeURIComponent(product.item)}`, alt, loading: "lazy", decoding: "async" });
    image.addEventListener("error", standIn);
    // A thumbnail blown up looks broken: pages with small photos show them smaller.
    image.addEventListener("load", () => document.body.classList.toggle("small-photos", image.naturalWidth < 120));
    box.append(image);
  }
  return box;
}

/** How far a product moved since the list before. */
export function moveBadge(move) {
  if (move === undefined || move === 0) return null;
  if (move === "new") return el("span", { class: "move new" }, "new");
  const up = move > 0;
  const words = `${up ? "up" : "down"} ${Math.abs(move)}`;
  return el("span", { class: `move ${up ? "up" : "down"}`, title: words },
    el("span", { "aria-hidden": "true" }, `${up ? "▲" : "▼"}${Math.abs(move)}`), el("span", { class: "hidden" }, words));
}

// What says most about this shopper; words and popularity would be the same for everybody.
const PERSONAL = ["looks", "people", "history", "taste", "price"];
const CLEAR = 0.05;

function because(reasons) {
  const told = reasons.find((one) => PERSONAL.includes(one.kind) && one.share >= CLEAR) || reasons[0];
  return told && told.share > SMALL ? el("p", { class: "because" }, told.text) : null;
}

export function card(product, { currency, move, elsewhere, open, why }) {
  const price = money(product.price, currency);
  return el("li", { class: "card", "data-item": product.item },
    el("button", { class: "open", type: "button", click: open, "aria-label": `${product.title || product.item}${price ? `, ${price}` : ""}: open` },
      photo(product, product.title || product.item), el("span", { class: "place", "aria-hidden": "true" }, String(product.position)), moveBadge(move)),
    el("div", { class: "about" },
      product.brand && el("p", { class: "brand" }, product.brand),
      el("h3", {}, shortTitle(product)),
      price && el("p", { class: "price" }, price),
      elsewhere && el("p", { class: "elsewhere" }, elsewhere),
      because(product.reasons),
      el("button", { class: "why", type: "button", click: why, "aria-haspopup": "dialog" }, "Why this?")));
}

export function skeletons(count) {
  return Array.from({ length: count }, () => el("li", { class: "card skeleton", "aria-hidden": "true" },
    el("span", { class: "photo" }), el("div", { class: "about" }, el("p", {}), el("p", {}), el("p", {}))));
}

/** The reasons as bars about zero; their shares add up to the score. */
export function chart(product) {
  const told = product.reasons.filter((reason) => Math.abs(reason.share) >= SMALL);
  const rest = product.reasons.filter((reason) => Math.abs(reason.share) < SMALL);
  const most = Math.max(0, ...told.map((reason) => reason.share));
  const least = Math.min(0, ...told.map((reason) => reason.share));
  const span = most - least || 1;
  const zero = (-least / span) * 100;
  const rows = told.map((reason) => {
    const bar = el("span", { class: `bar ${reason.share < 0 ? "against" : "for"}` });
    const width = (Math.abs(reason.share) / span) * 100;
    bar.style.left = `${reason.share < 0 ? zero - width : zero}%`;
    bar.style.width = `${width}%`;
    const axis = el("span", { class: "axis" });
    axis.style.left = `${zero}%`;
    return el("li", {},
      el("span", { class: "kind" }, REASONS[reason.kind] || reason.kind),
      el("span", { class: `share ${reason.share < 0 ? "against" : "for"}` }, signed(reason.share)),
      el("span", { class: "track", "aria-hidden": "true" }, axis, bar),
      el("span", { class: "sentence" }, reason.text));
  });
  if (rest.length) {
    const sum = rest.reduce((total, reason) => total + reason.share, 0);
    rows.push(el("li", { class: "rest" }, el("span", { class: "kind" }, `${rest.length} more, under ${SMALL}`),
      el("span", { class: "share" }, signed(sum))));
  }
  return el("div", { class: "reasons" }, el("ul", {}, rows),
    el("p", { class: "sum" }, el("span", {}, "Score: the sum of these"), el("strong", {}, product.score.toFixed(2))));
}

export function facts(card) {
  const rows = [["Category", card.category.join(" › ")], ["Colour", card.colour], ["Brand", card.brand],
    ...Object.entries(card.attributes).map(([name, value]) => [name.replaceAll("_", " "), String(value)])];
  return el("dl", { class: "facts" }, rows.filter(([, value]) => value).map(([name, value]) =>
    el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

export function strip(products, { currency, open }) {
  return el("ul", { class: "strip" }, products.map((product) => el("li", {},
    el("button", { type: "button", click: () => open(product), "aria-label": `${product.title || product.item}: open` }, photo(product, product.title || product.item),
      el("span", { class: "name" }, shortTitle(product)), el("span", { class: "price" }, money(product.price, currency))))));
}

export function ago(time) {
  const days = (Date.now() / 1000 - time) / 86400;
  if (days < 1 / 24) return "just now";
  if (days < 1) return "today";
  return days < 2 ? "yesterday" : `${Math.floor(days)} days ago`;
}

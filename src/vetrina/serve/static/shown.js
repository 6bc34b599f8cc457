// What a visitor shows: a photo, chosen, pasted or dropped, or a product. It stands as a chip in the search field.
import { el, photo, shortTitle } from "./draw.js";

const READ = ["image/jpeg", "image/png", "image/webp", "image/gif", "image/avif"]; // what the shop can read
const SIDE = 1024; // pixels: more tell nothing more
const SMALL = 1 << 20; // bytes: a file of up to so many is sent as it is

/** A file as what /v1/search takes, with a picture of it; throws an Error that says what was wrong. */
export async function photoOf(file) {
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    throw new Error(`“${file.name || "What was given"}” cannot be read as a photo. Choose a JPEG, PNG, WebP, GIF or AVIF.`);
  }
  const thumb = drawn(picture, 96);
  const asIs = READ.includes(file.type) && file.size <= SMALL;
  const sent = asIs ? file : await new Promise((done) => drawn(picture, SIDE).toBlob(done, "image/jpeg", 0.9));
  picture.close();
  return { body: { photo: await base64(sent) }, thumb, name: "your photo", key: crypto.randomUUID?.() ?? String(Math.random()) };
}

/** A product as what is shown. */
export function productShown(product) {
  return { body: { like: product.item }, thumb: photo(product), name: `“${shortTitle(product)}”`, key: product.item };
}

/** On white, for the shop sees it so; no larger than it is. */
function drawn(picture, side) {
  const scale = Math.min(1, side / Math.max(picture.width, picture.height));
  const canvas = el("canvas", { width: Math.max(1, Math.round(picture.width * scale)), height: Math.max(1, Math.round(picture.height * scale)) });
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return canvas;
}

function base64(file) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => done(reader.result.slice(reader.result.indexOf(",") + 1)));
    reader.addEventListener("error", () => failed(new Error("The photo cannot be read.")));
    reader.readAsDataURL(file);
  });
}

/** The chip of what is shown, with a button that takes it away. */
export function shownChip(shown, remove) {
  const what = `Like ${shown.name}`;
  return [el("span", { class: "shown-thumb", role: "img", "aria-label": what, title: what }, shown.thumb),
    el("button", { class: "remove", type: "button", "aria-label": `Remove ${shown.name} from the search`, click: remove }, "×")];
}

/** Photos from the camera button, the clipboard, and files dropped anywhere on the page. */
export function takePhotos({ button, input, field, take }) {
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const [file] = input.files;
    if (file) take(file);
    input.value = ""; // the same file may be chosen again
  });
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files || [])].find((one) => one.type.startsWith("image/"));
    if (!file) return;
    event.preventDefault();
    take(file);
  });
  const holds = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!holds(event)) return;
    event.preventDefault();
    field.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) field.classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    if (!holds(event)) return;
    event.preventDefault();
    field.classList.remove("dropping");
    const [file] = event.dataTransfer.files;
    if (file) take(file);
  });
}

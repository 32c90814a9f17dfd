// Small helpers of the console: making elements, and amounts as people read them.

// h("p", { class: "soft", onclick }, "text", otherElement, null) – null and false are left out.
export function h(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "rect", "line", "text", "path", "circle", "title"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
  return element;
}

const rounded = (value) => (value < 9.95 && !Number.isInteger(value) ? value.toFixed(1) : Math.round(value).toString());

export function duration(us) {
  if (!(us > 0)) return "0 s";
  if (us < 1e3) return `${rounded(us)} µs`;
  if (us < 1e6) return `${rounded(us / 1e3)} ms`;
  if (us < 120e6) return `${rounded(us / 1e6)} s`;
  if (us < 7200e6) return `${rounded(us / 60e6)} min`;
  if (us < 172800e6) return `${rounded(us / 3600e6)} h`;
  return `${rounded(us / 86400e6)} d`;
}

export function memory(mib) { return mib < 1024 ? `${mib} MiB` : `${rounded(mib / 1024)} GiB`; }

export function size(bytes) {
  if (!(bytes >= 1000)) return `${bytes ?? 0} B`;
  if (bytes < 1e6) return `${rounded(bytes / 1e3)} kB`;
  return bytes < 1e9 ? `${rounded(bytes / 1e6)} MB` : `${rounded(bytes / 1e9)} GB`;
}

// Time of day; with the date if it is not today's.
export function clock(wallMs) {
  if (!wallMs) return "–";
  const time = new Date(wallMs);
  const text = time.toLocaleTimeString([], { hour12: false });
  if (time.toDateString() === new Date().toDateString()) return text;
  return `${time.toLocaleDateString([], { day: "numeric", month: "short" })}, ${text}`;
}

function focusedKey(place) { return place.contains(document.activeElement) ? document.activeElement.dataset.key : null; }
function focusAgain(place, key) { if (key && !place.contains(document.activeElement)) place.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus(); }

// Replaces what a place shows if `key` changed, and keeps the keyboard's focus where it was.
export function show(place, key, make) {
  const text = JSON.stringify(key);
  if (place.shown === text) return;
  place.shown = text;
  const focused = focusedKey(place);
  const scrolled = [...place.querySelectorAll("[data-scroll]")].map((part) => part.scrollTop);
  place.replaceChildren(...[make()].flat().filter(Boolean));
  place.querySelectorAll("[data-scroll]").forEach((part, i) => { part.scrollTop = scrolled[i] ?? 0; });
  focusAgain(place, focused);
}

// Shows a list in order and makes anew only what changed: `items` are { key, stamp, make, touch }. What stays is not
// touched, so that a large page costs what changed, and the keyboard's focus stays; touch(element) is for what moves
// on with every view, as a clock does.
export function each(place, items) {
  const focused = focusedKey(place);
  const known = place.parts ?? new Map();
  const parts = new Map();
  for (const { key, stamp, make, touch } of items) {
    const before = known.get(key);
    const stays = before?.stamp === stamp;
    parts.set(key, stays ? before : { stamp, element: make() });
    if (stays) touch?.(before.element);
  }
  for (const [key, part] of known) if (parts.get(key) !== part) part.element.remove();
  if (known.size === 0) place.replaceChildren();
  let next = place.firstChild;
  for (const { element } of parts.values()) {
    if (element === next) next = next.nextSibling;
    else place.insertBefore(element, next);
  }
  while (next) { const gone = next; next = next.nextSibling; gone.remove(); }
  place.parts = parts;
  place.shown = undefined;
  focusAgain(place, focused);
}

// Another text in an element that holds one text; nothing happens if it is the same.
export function setText(element, text) {
  if (element.firstChild?.data !== text) element.textContent = text;
}

// A text for a place that shows nothing else, instead of a list.
export function sayIn(place, text) {
  place.parts = new Map();
  show(place, text, () => h("p", { class: "soft none" }, text));
}

export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

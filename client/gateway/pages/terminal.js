// The web terminal's page: hears from the gateway where the desktop is, shows it, and says in one
// honest line what is happening while there is no live picture. Never a dialog.

import { onAwake } from "./awake.js";
import { Desktop } from "./desktop.js";

const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 1000;

const at = (id) => document.getElementById(id);
const stage = at("stage");
const line = at("line");
const terminal = decodeURIComponent(location.pathname.slice("/terminal/".length));

// Tells this tab apart from others that show the same terminal: the manager decides between places. It stays
// the same when the page is loaded again.
const place = (() => {
  try {
    const kept = sessionStorage.getItem("place") ?? crypto.getRandomValues(new Uint32Array(4)).join("-");
    sessionStorage.setItem("place", kept);
    return kept;
  } catch { return String(Math.random()).slice(2); }
})();
const base = `${location.origin.replace(/^http/, "ws")}/api/v1/terminals/${encodeURIComponent(terminal)}`;

const desktop = new Desktop({
  screen: at("screen"), overlay: at("last"), address: (epoch) => `${base}/stream?epoch=${epoch}&place=${place}`,
});

// What is known; the line is made from it.
const known = { gateway: true, manager: true, waiting: "", refused: "", elsewhere: false, moving: false };

function lineText() {
  if (known.elsewhere) return "This desktop is open at another place now. Press Enter or click to have it here.";
  if (known.refused) return `This terminal cannot be served: ${known.refused}`;
  if (!known.gateway) return "The gateway does not answer. Trying again…";
  if (known.waiting) return `${desktop.everPictured ? "Your desktop will be back as soon as possible" : "Getting your desktop ready"}: ${known.waiting}`;
  if (known.moving) return "Your desktop is moving to another machine…";
  if (!known.manager && !desktop.everPictured) return "The manager does not answer. Trying again…";
  return desktop.everPictured ? "Reconnecting to your desktop…" : "Getting your desktop ready…";
}

function show() {
  const state = desktop.live ? "live" : desktop.everPictured ? "held" : "opening";
  stage.dataset.state = state;
  stage.dataset.epoch = desktop.epoch;
  at("dot").setAttribute("aria-label", state === "live" ? "connected" : "connecting");
  line.classList.toggle("final", Boolean(known.refused) || known.elsewhere);
  const text = state === "live" ? "" : lineText();
  if (line.textContent !== text) line.textContent = text;
}

// ------------------------------------------------------------------ events of the gateway

let socket = null;
let retryMs = FIRST_RETRY_MS;
let failures = 0;

const handlers = {
  redirect({ epoch }) {
    known.waiting = known.refused = "";
    known.elsewhere = false;
    // Set before the old picture is held, so that the line says the right thing at once.
    if (epoch > desktop.epoch && desktop.everPictured) known.moving = true;
    desktop.goTo(epoch);
  },
  waiting({ text }) { known.refused = ""; known.waiting = text; },
  refused({ text }) { known.refused = text; known.elsewhere = false; },
  elsewhere() { known.elsewhere = true; known.moving = false; desktop.rest(); },
  notice({ text }) { showNotice(text); },
  manager({ connected }) { known.manager = connected; },
};

let retryTimer = null;
function listen() {
  clearTimeout(retryTimer);
  const mine = new WebSocket(`${base}/events?place=${place}`);
  socket = mine;
  mine.onopen = () => { if (socket === mine) { retryMs = FIRST_RETRY_MS; failures = 0; known.gateway = true; show(); } };
  mine.onmessage = ({ data }) => {
    if (socket !== mine) return;
    const event = JSON.parse(data);
    handlers[event.event]?.(event);
    show();
  };
  mine.onclose = () => {
    if (socket !== mine) return;
    known.gateway = false;
    failures += 1;
    show();
    if (failures % 5 === 3) logInAgainIfNeeded();
    retryTimer = setTimeout(listen, retryMs);
    retryMs = Math.min(retryMs * 2, LAST_RETRY_MS);
  };
}

onAwake(() => {
  const old = socket;
  retryMs = FIRST_RETRY_MS;
  logInAgainIfNeeded();
  listen();
  old?.close();
  if (!known.elsewhere) desktop.renew();
});

// What an administrator says to the person. It stays until somebody has been there to read it.
const NOTICE_AT_LEAST_MS = 8000;
let noticeSince = 0;
function showNotice(text) {
  at("notice").textContent = text;
  noticeSince = performance.now();
}
function somebodyIsThere() {
  if (at("notice").textContent && performance.now() - noticeSince > NOTICE_AT_LEAST_MS) at("notice").textContent = "";
}

// The person wants the desktop that another place has.
function takeBack() {
  if (!known.elsewhere || socket?.readyState !== WebSocket.OPEN) return;
  known.elsewhere = false;
  known.waiting = "";
  socket.send(JSON.stringify({ back: true }));
  show();
}
addEventListener("keydown", (event) => {
  somebodyIsThere();
  if (event.code === "KeyB" && event.ctrlKey && event.altKey && event.shiftKey) {
    event.preventDefault();
    event.stopImmediatePropagation();
    openBar();
    return;
  }
  if (event.key === "Enter" && known.elsewhere && !event.target.closest?.("#bar, #clipboard")) takeBack();
}, { capture: true });
addEventListener("pointerdown", (event) => {
  somebodyIsThere();
  if (!event.target.closest?.("#bar, #clipboard")) takeBack();
}, { capture: true });

// A browser does not tell a page why a WebSocket was refused.
async function logInAgainIfNeeded() {
  const answer = await fetch(location.pathname, { method: "HEAD" }).catch(() => null);
  if (answer?.status === 401) location.reload();
}

// ------------------------------------------------------------------ the desktop

desktop.addEventListener("picture", ({ detail }) => {
  known.moving = false;
  known.waiting = "";
  show();
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ seen: "picture", epoch: detail.epoch }));
  if (at("clipboard").hidden) desktop.focus();
});
desktop.addEventListener("held", show);

// ------------------------------------------------------------------ the bar

// Keys belong to the desktop, so one combination leads out of it: Ctrl+Alt+Shift+B, and Escape back.
function openBar() {
  // The picture's keyboard lets go of what is held, as when the window loses the focus: Ctrl must not stay down there.
  dispatchEvent(new Event("blur"));
  at("bar").classList.add("open");
  at("full").focus();
}
function closeBar() {
  at("bar").classList.remove("open");
  desktop.focus();
}
at("bar").addEventListener("keydown", (event) => { if (event.key === "Escape") closeBar(); });
at("bar").addEventListener("focusout", ({ relatedTarget }) => {
  if (!at("bar").contains(relatedTarget) && at("clipboard").hidden) at("bar").classList.remove("open");
});

at("full").addEventListener("click", async () => {
  if (document.fullscreenElement) return document.exitFullscreen();
  await document.documentElement.requestFullscreen().catch(() => {});
  // Lets keys like Escape reach the desktop, where the browser can.
  await navigator.keyboard?.lock?.().catch(() => {});
  desktop.focus();
});
document.addEventListener("fullscreenchange", () => {
  at("full").textContent = document.fullscreenElement ? "Leave full screen" : "Full screen";
});

function openClipboard(open) {
  at("clipboard").hidden = !open;
  at("clip").setAttribute("aria-expanded", String(open));
  at("bar").classList.toggle("open", open);
  if (open) at("clip-text").focus();
  else desktop.focus();
}
at("clip").addEventListener("click", () => openClipboard(at("clipboard").hidden));
at("clip-close").addEventListener("click", () => openClipboard(false));
at("clip-send").addEventListener("click", () => { desktop.paste(at("clip-text").value); openClipboard(false); });
at("clipboard").addEventListener("keydown", (event) => { if (event.key === "Escape") openClipboard(false); });

// From this computer to the desktop without the panel: where the browser has been allowed to, whenever the page gets
// the focus. The panel's first button is where a browser asks for that.
let shared = "";
async function offerClipboard() {
  try {
    const text = await navigator.clipboard.readText();
    if (text && text !== shared) { shared = text; desktop.paste(text); }
    return true;
  } catch { return false; }
}
async function offerClipboardIfAllowed() {
  const permission = await navigator.permissions?.query({ name: "clipboard-read" }).catch(() => null);
  at("clip-join").hidden = permission?.state === "granted" || !navigator.clipboard?.readText;
  if (permission?.state === "granted" && document.hasFocus()) await offerClipboard();
}
addEventListener("focus", offerClipboardIfAllowed);
desktop.addEventListener("picture", () => { shared = ""; offerClipboardIfAllowed(); });
at("clip-join").addEventListener("click", async () => {
  if (await offerClipboard()) return openClipboard(false);
  at("clip-text").placeholder = "The browser does not allow it. Paste the text here instead.";
  at("clip-text").focus();
});
desktop.addEventListener("clipboard", ({ detail }) => {
  shared = detail.text;
  at("clip-text").value = detail.text;
  // Works where the browser allows it without asking; else the text waits in the panel.
  if (document.hasFocus()) navigator.clipboard?.writeText(detail.text).catch(() => {});
});
at("keys").addEventListener("click", () => { desktop.controlAltDelete(); desktop.focus(); });

at("name").textContent = terminal;
document.title = `${terminal} – Understudy`;
show();
listen();

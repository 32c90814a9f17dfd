// The console's page: follows the manager through the gateway and shows every view as it comes, at most
// once per frame. What it last knew stays, with its age, while the manager or the gateway is away.

import { h, show, each, sayIn, duration, clock, plural } from "./dom.js";
import { onAwake } from "./awake.js";
import { acts, confirmAct, actAs, loginAddress, showLive } from "./acts.js";
import { hostItems } from "./map.js";
import { terminalItems } from "./terminals.js";
import { incidentParts, axisWidth } from "./incidents.js";
import { auditParts } from "./audit.js";
import { poolCards } from "./pools.js";
import { isGuarded, problemsOf } from "./problems.js";
import { Rehearsals, rehearsalParts } from "./rehearsal.js";
import { changedView, wholeView } from "./view.js";

const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 2000;
const LONGEST_PRESS_MS = 3000;

const at = (id) => document.getElementById(id);

let push = null;           // last message of the gateway
let gatewaySince = null;   // since when the gateway is away
let chosen = Number(location.hash.replace("#incident-", "")) || null;
let scheduled = false;
let pressedUntil = 0;      // a press ends on what it began on: nothing is made anew under the pointer meanwhile
let expired = false;       // the gateway does not know our log-in any more
let sought = "";           // what is looked for
let refreshLook = null;    // puts news into the dialog about a host's death

const rehearsals = new Rehearsals(schedule);

function schedule() {
  if (scheduled) return;
  scheduled = true;
  // A hidden page gets no frames, and needs none.
  requestAnimationFrame(() => {
    scheduled = false;
    if (performance.now() < pressedUntil) { schedule(); return; }
    const before = performance.now();
    render();
    // For whoever measures the page: how long the last update kept it busy.
    performance.measure("console-update", { start: before, end: performance.now() });
    performance.clearMeasures();
  });
}

addEventListener("pointerdown", () => { pressedUntil = performance.now() + LONGEST_PRESS_MS; }, { capture: true });
for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => { pressedUntil = 0; }, { capture: true });

// ------------------------------------------------------------------ parts of the page itself

function figure(number, text, worry, of) {
  return h("div", { class: `figure ${worry ? "worry" : ""}` }, h("b", {}, String(number), of === undefined ? null : h("span", { class: "of" }, ` of ${of}`)), h("span", { class: "soft" }, text));
}

function figures(view) {
  const served = view.terminals.filter((terminal) => terminal.state === "serving").length;
  const wanted = view.terminals.filter((terminal) => !["new", "detached", "releasing"].includes(terminal.state)).length;
  const guarded = view.sessions.filter(isGuarded).length;
  const alive = view.nodes.filter((node) => !["failed", "destroying"].includes(node.state));
  const healthy = alive.filter((node) => node.health === "healthy").length;
  const booting = alive.filter((node) => node.health === "unknown").length;
  const open = view.incidents.filter((incident) => incident.open).length;
  return [figure(served, "terminals served", served < wanted, view.terminals.length),
    figure(guarded, "sessions protected as wanted", guarded < view.sessions.length, view.sessions.length),
    figure(healthy, "nodes healthy", healthy + booting < alive.length, alive.length),
    figure(view.nodes.filter((node) => node.state === "idle").length, "idle, ready to take over"),
    figure(open, open === 1 ? "incident open" : "incidents open", open > 0)];
}

// ------------------------------------------------------------------ what is wrong

const PROBLEMS_SHOWN = 7;
let allProblems = false;
const MARK = { bad: "now", warn: "soon", info: "note" };

function goTo(problem) {
  if (problem.rehearsal) return lookAt(problem.rehearsal);
  if (problem.incident) { choose(problem.incident); at("incidents").scrollIntoView({ block: "start" }); return; }
  const place = document.getElementById(problem.go) ?? document.querySelector(`[data-key="${CSS.escape(problem.go ?? "")}"]`);
  if (place) { place.scrollIntoView({ block: "center" }); (place.matches("button") ? place : place.querySelector("button, a"))?.focus(); return; }
  // It is folded away: look for it by name.
  at("find").value = sought = problem.name;
  schedule();
}

function problemRow(problem) {
  return h("li", { class: `problem-row ${problem.level}` },
    h("span", { class: `badge ${problem.level === "info" ? "" : problem.level}` }, MARK[problem.level]),
    h("div", { class: "words" }, h("strong", {}, problem.what), problem.why ? h("span", { class: "soft" }, problem.why) : null),
    h("span", { class: "deeds" },
      problem.act ? h("button", { class: "small", type: "button", "data-key": `do-${problem.kind}-${problem.name}`, onclick: () => confirmAct(problem.act) }, problem.deed) : null,
      problem.name ? h("button", { class: "small", type: "button", "data-key": `go-${problem.kind}-${problem.name}`, "aria-label": `Show: ${problem.what}`, onclick: () => goTo(problem) }, "Show") : null));
}

function renderProblems(view) {
  const problems = problemsOf(view, rehearsals.known);
  const urgent = problems.filter((problem) => problem.level !== "info").length;
  at("wrong").dataset.level = problems.some((problem) => problem.level === "bad") ? "bad" : urgent ? "warn" : "good";
  const title = urgent === 0 ? "Nothing is wrong" : plural(urgent, "thing needs attention", "things need attention");
  if (at("wrong-title").textContent !== title) at("wrong-title").textContent = title;
  document.title = `${urgent ? `(${urgent}) ` : ""}Console – Understudy`;
  const shown = allProblems ? problems : problems.slice(0, PROBLEMS_SHOWN);
  const rows = shown.map((problem) => ({ key: `${problem.kind} ${problem.name ?? ""} ${problem.what}`, stamp: JSON.stringify(problem), make: () => problemRow(problem) }));
  const rest = problems.length - shown.length;
  if (rest > 0) rows.push({ key: " rest", stamp: `${rest}`, make: () => h("li", {}, h("button", { class: "more", type: "button", "data-key": "all-problems", onclick: () => { allProblems = true; schedule(); } }, `Show ${rest} more`)) });
  each(at("problems"), rows);
}

function lookAt(host) {
  const answer = rehearsals.known.get(host);
  if (!answer) return;
  const put = showLive(`If ${host} died now`, rehearsalParts(answer));
  let shown = answer;
  refreshLook = () => {
    const fresh = rehearsals.known.get(host);
    if (!fresh || fresh === shown) return;
    shown = fresh;
    if (!put(rehearsalParts(fresh))) refreshLook = null;
  };
}

function renderState() {
  const link = at("link");
  const state = expired ? "expired" : gatewaySince ? "lost" : !push ? "opening" : push.connected ? "live" : "away";
  link.dataset.state = state;
  const text = { expired: "logged out", lost: "gateway away", opening: "connecting", live: "live", away: "manager away" }[state];
  if (link.textContent !== text) link.textContent = text;
  const away = at("away");
  away.hidden = state === "live" || state === "opening";
  if (expired) {
    if (!away.querySelector("a")) away.replaceChildren("Your log-in has run out, or the access key was changed. ", h("a", { href: loginAddress() }, "Log in again"), ". What you see is from before.");
  } else if (!away.hidden) {
    const last = push?.view ? `This is what was known at ${clock(push.view_wall_ms)}.` : "Nothing is known yet.";
    const words = state === "lost" ? `The gateway has not answered since ${clock(gatewaySince)}. ${last}`
      : `The manager is away since ${clock(push.since_wall_ms)}: ${push.reason}. Sessions and desktops go on without it. ${last}`;
    if (away.textContent !== words) away.textContent = words;
  }
  at("main").classList.toggle("old", ["away", "lost", "expired"].includes(state));
}

const EMPTY = { manager: {}, hosts: [], nodes: [], terminals: [], sessions: [], pools: [], incidents: [] };

function render() {
  renderState();
  if (!push?.view) return;
  const view = { ...EMPTY, ...push.view };
  const { manager } = view;
  const up = manager.now_wall_ms && manager.started_wall_ms ? Math.floor((manager.now_wall_ms - manager.started_wall_ms) / 60000) : null;
  show(at("manager"), [manager.version, manager.incarnation, up, manager.store],
    () => `Manager ${manager.version}, incarnation ${manager.incarnation}${up === null ? "" : `, up ${up < 1 ? "less than a minute" : duration(up * 60e6)}`}, store ${String(manager.store).split(":")[0]}`);
  const finds = (text) => !sought || String(text).toLowerCase().includes(sought);
  const options = { rehearsals: rehearsals.known, look: lookAt, redraw: schedule, finds };
  renderProblems(view);
  show(at("figures"), [view.terminals.map((terminal) => terminal.state), view.sessions.map((session) => isGuarded(session)),
    view.nodes.map((node) => [node.state, node.health]), view.incidents.map((incident) => incident.open)], () => figures(view));
  list(at("map"), hostItems(view, options), view.hosts.length + view.nodes.length, "No hosts. Enter them in the manager's configuration.");
  list(at("terminals"), terminalItems(view, options), view.terminals.length, "No terminals. Define one: understudy define-terminal NAME --profile PROFILE --reason TEXT");
  show(at("incidents"), [view.incidents, chosen, axisWidth()], () => incidentParts(view, chosen, choose));
  show(at("pools"), view.pools, () => poolCards(view));
  refreshLook?.();
}

function list(place, items, count, none) {
  if (items.length) each(place, items);
  else sayIn(place, count ? `Nothing is called “${sought}”.` : none);
}

function choose(id) {
  chosen = id;
  history.replaceState(null, "", `#incident-${id}`);
  schedule();
}

// ------------------------------------------------------------------ the gateway

let retryMs = FIRST_RETRY_MS;
let failures = 0;

function take(fresh) {
  if (fresh.changes && fresh.number !== push?.number + 1) return false;
  const view = fresh.changes ? push.view && changedView(push.view, fresh.changes) : fresh.view && wholeView(fresh);
  push = { ...fresh, view };
  if (fresh.connected && view?.hosts) rehearsals.follow(view.hosts.filter((host) => host.state !== "maintenance").map((host) => host.name));
  return true;
}

let socket = null;
let retryTimer = null;
function listen() {
  clearTimeout(retryTimer);
  const mine = new WebSocket(`${location.origin.replace(/^http/, "ws")}/api/v1/watch?changes=1`);
  socket = mine;
  mine.onopen = () => { if (socket === mine) { retryMs = FIRST_RETRY_MS; failures = 0; gatewaySince = null; expired = false; } };
  mine.onmessage = ({ data }) => {
    if (socket !== mine) return;
    // What follows a gap is whole again: the next connection's first message.
    if (take(JSON.parse(data))) schedule(); else mine.close();
  };
  mine.onclose = () => {
    if (socket !== mine) return;
    gatewaySince ??= Date.now();
    failures += 1;
    schedule();
    // A browser does not tell a page why a WebSocket was refused.
    if (failures % 5 === 3) fetch("/api/v1/me").then((answer) => { expired = answer.status === 401; schedule(); }, () => {});
    retryTimer = setTimeout(listen, retryMs);
    retryMs = Math.min(retryMs * 2, LAST_RETRY_MS);
  };
}

onAwake(() => {
  const old = socket;
  retryMs = FIRST_RETRY_MS;
  failures = 2;  // if it is refused, the reason is asked for at once: an hour is enough for a log-in to run out
  listen();
  old?.close();
});

addEventListener("resize", schedule);
at("find").addEventListener("input", () => { sought = at("find").value.trim().toLowerCase(); schedule(); });
at("tell").addEventListener("click", () => confirmAct(acts.message(null)));
addEventListener("keydown", (event) => {
  if (event.target.closest("input, textarea, dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") { event.preventDefault(); at("find").focus(); }
});
fetch("/api/v1/me").then((answer) => answer.json()).then((me) => {
  actAs(me.role);
  document.body.classList.toggle("observer", me.role === "observer");
  at("who").textContent = `${me.name}, ${me.role}`;
  at("audit").hidden = me.role !== "administrator";
  at("logout").hidden = !me.session;
}, () => {});

at("audit").addEventListener("click", async () => {
  const put = showLive("Who did what", [h("p", { class: "soft" }, "Reading the audit log…")]);
  const answer = await fetch("/api/v1/audit?count=200").catch(() => null);
  const entries = answer?.ok ? await answer.json().catch(() => null) : null;
  put(entries ? auditParts(entries) : [h("p", { class: "result bad" }, "The audit log cannot be read now.")]);
});
listen();

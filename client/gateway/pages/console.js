// The console's page: follows the manager through the gateway and shows every view as it comes, at most
// once per frame. What it last knew stays, with its age, while the manager or the gateway is away.

import { h, show, duration, clock } from "./dom.js";
import { acts, confirmAct } from "./acts.js";
import { hostMap, mapKey } from "./map.js";
import { terminalCards } from "./terminals.js";
import { incidentParts, axisWidth } from "./incidents.js";
import { poolCards } from "./pools.js";

const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 2000;

const at = (id) => document.getElementById(id);

let push = null;           // last message of the gateway
let gatewaySince = null;   // since when the gateway is away
let chosen = Number(location.hash.replace("#incident-", "")) || null;
let scheduled = false;

function schedule() {
  if (scheduled) return;
  scheduled = true;
  // A hidden page gets no frames, and needs none.
  requestAnimationFrame(() => { scheduled = false; render(); });
}

// ------------------------------------------------------------------ parts of the page itself

function figure(number, text, worry, of) {
  return h("div", { class: `figure ${worry ? "worry" : ""}` }, h("b", {}, String(number), of === undefined ? null : h("span", { class: "of" }, ` of ${of}`)), h("span", { class: "soft" }, text));
}

function figures(view) {
  const served = view.terminals.filter((terminal) => terminal.state === "serving").length;
  const wanted = view.terminals.filter((terminal) => !["new", "detached", "releasing"].includes(terminal.state)).length;
  const guarded = view.sessions.filter((session) => session.protection?.in_force === session.protection?.wanted && (session.backups ?? []).some((backup) => backup.phase === "standby")).length;
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

function alarms(manager) {
  const list = (manager.alarms ?? []).map((text) => h("div", { class: "banner warn" }, h("strong", {}, "Alarm "), text));
  if (manager.gate?.closed) {
    list.unshift(h("div", { class: "banner bad" }, h("strong", {}, "Fail-overs without proof are held "), manager.gate.reason, " ",
      h("button", { class: "small", type: "button", "data-key": "gate", onclick: () => confirmAct(acts.overrideGate()) }, "Go on nevertheless")));
  }
  if (manager.store && manager.store !== "ok") list.unshift(h("div", { class: "banner bad" }, h("strong", {}, "Store "), manager.store));
  return list;
}

function renderState() {
  const link = at("link");
  const state = gatewaySince ? "lost" : !push ? "opening" : push.connected ? "live" : "away";
  link.dataset.state = state;
  const text = { lost: "gateway away", opening: "connecting", live: "live", away: "manager away" }[state];
  if (link.textContent !== text) link.textContent = text;
  const away = at("away");
  away.hidden = state === "live" || state === "opening";
  if (!away.hidden) {
    const last = push?.view ? `This is what was known at ${clock(push.view_wall_ms)}.` : "Nothing is known yet.";
    const words = state === "lost" ? `The gateway has not answered since ${clock(gatewaySince)}. ${last}`
      : `The manager is away since ${clock(push.since_wall_ms)}: ${push.reason}. Sessions and desktops go on without it. ${last}`;
    if (away.textContent !== words) away.textContent = words;
  }
  at("main").classList.toggle("old", state === "away" || state === "lost");
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
  show(at("alarms"), [manager.alarms, manager.gate, manager.store], () => alarms(manager));
  show(at("figures"), [view.terminals.map((terminal) => terminal.state), view.sessions.map((session) => [session.protection, session.backups?.map((backup) => backup.phase)]),
    view.nodes.map((node) => [node.state, node.health]), view.incidents.map((incident) => incident.open)], () => figures(view));
  show(at("map"), mapKey(view), () => hostMap(view));
  show(at("terminals"), [view.terminals, view.sessions, view.nodes.map((node) => [node.id, node.name])], () => terminalCards(view));
  show(at("incidents"), [view.incidents, chosen, axisWidth()], () => incidentParts(view, chosen, choose));
  show(at("pools"), view.pools, () => poolCards(view));
}

function choose(id) {
  chosen = id;
  history.replaceState(null, "", `#incident-${id}`);
  schedule();
}

// ------------------------------------------------------------------ the gateway

let retryMs = FIRST_RETRY_MS;
let failures = 0;

function listen() {
  const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/api/v1/watch`);
  socket.onopen = () => { retryMs = FIRST_RETRY_MS; failures = 0; gatewaySince = null; };
  socket.onmessage = ({ data }) => { push = JSON.parse(data); schedule(); };
  socket.onclose = () => {
    gatewaySince ??= Date.now();
    failures += 1;
    schedule();
    if (failures % 5 === 3) fetch(location.pathname, { method: "HEAD" }).then((answer) => { if (answer.status === 401) location.reload(); }, () => {});
    setTimeout(listen, retryMs);
    retryMs = Math.min(retryMs * 2, LAST_RETRY_MS);
  };
}

addEventListener("resize", schedule);
listen();

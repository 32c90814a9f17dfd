// Terminals with who serves and who stands by, and their sessions with the protection in force. Those with
// something wrong come first; of many the rest is folded.

import { h, setText, duration, size, plural } from "./dom.js";
import { acts, confirmAct } from "./acts.js";
import { isGuarded, lateCheckpoint, newestCheckpoint } from "./problems.js";

const SHOWN = 20;
const MORE = 100;
let limit = SHOWN;

function serving(names, { primary, phase, backups = [] } = {}) {
  if (!primary) return [h("span", { class: "soft" }, "nobody yet")];
  const name = (id) => names.get(id) ?? `node ${id}`;
  return [h("span", { class: `duty primary ${phase}`, title: `serves: ${phase}` }, name(primary), phase === "running" ? "" : ` ${phase}`),
    ...backups.map((backup) => h("span", { class: `duty standby ${backup.phase}`, title: `stands by: ${backup.phase}` }, name(backup.node), backup.phase === "standby" ? "" : ` ${backup.phase}`)),
    backups.length === 0 && h("span", { class: "badge warn" }, "no backup")];
}

const heldText = (session, held) => `${duration(held.age_ms * 1000)} ago, ${size(held.bytes)}, stood still ${duration((session.pause_ms ?? 0) * 1000)}`;

// Checkpoints come and age all the time; a card is not made anew for that.
function touchAges(card, sessions) {
  for (const place of card.querySelectorAll("[data-age]")) {
    const session = sessions.find((one) => String(one.id) === place.dataset.age);
    setText(place, heldText(session, newestCheckpoint(session)));
  }
}

function guard(session) {
  const held = newestCheckpoint(session);
  const { wanted, in_force: inForce, reason } = session.protection ?? {};
  // Nothing is in force yet for what does not run.
  if (session.phase !== "running") return [h("span", { class: "soft" }, session.detail || session.phase)];
  const parts = [h("span", { class: `badge ${inForce === wanted ? (inForce === "restart" ? "" : "good") : "warn"}` }, inForce ?? "unknown")];
  if (held) {
    const late = lateCheckpoint(session);
    parts.push(h("span", { class: late ? "note" : "soft", title: `the newest checkpoint that a backup holds; the application stood still for ${session.pause_ms} ms`, "data-age": session.id }, heldText(session, held)));
  } else if (inForce === "checkpoint") {
    parts.push(h("span", { class: "soft" }, "none held yet"));
  }
  if (inForce !== wanted) parts.push(h("p", { class: "note" }, `Not protected by ${wanted}${reason ? `: ${reason}` : ""}`));
  return parts;
}

function sessionRow(names, session) {
  return h("li", { class: "session" },
    h("div", { class: "what" }, h("strong", {}, session.title || session.application), h("span", { class: "soft" }, `session ${session.id}, epoch ${session.epoch}`)),
    h("div", { class: "who" }, serving(names, session)),
    h("div", { class: "rest" }, h("div", { class: "guard" }, guard(session)),
      h("button", { class: "small", type: "button", "data-key": `over-${session.id}`, "aria-label": `Fail over session ${session.id}`, onclick: () => confirmAct(acts.failoverSession(session)) }, "Fail over")),
    session.lost ? h("p", { class: "note lost" }, `Last take-over lost ${session.lost}`) : null);
}

const stateClass = { serving: "good", waiting: "bad", placing: "warn", releasing: "" };

function terminalCard(names, terminal, sessions) {
  const deed = (key, text, act, label) => h("button", { class: "small", type: "button", "data-key": `${key}-${terminal.id}`, "aria-label": label, onclick: () => confirmAct(act(terminal)) }, text);
  return h("article", { class: "card terminal", "aria-label": `Terminal ${terminal.name}`, id: `terminal-${terminal.id}` },
    h("header", {},
      h("div", { class: "what" }, h("h3", {}, terminal.name), h("span", { class: `badge ${stateClass[terminal.state] ?? ""}` }, terminal.state),
        h("span", { class: "soft" }, `profile ${terminal.profile}, epoch ${terminal.epoch}`)),
      h("div", { class: "who" }, h("span", { class: "soft" }, "Desktop"), serving(names, terminal.presentation)),
      h("div", { class: "deeds" },
        h("a", { class: "button small", href: `/terminal/${encodeURIComponent(terminal.name)}`, target: "_blank", rel: "noopener", "data-key": `open-${terminal.id}`, "aria-label": `Open ${terminal.name} in a new tab` }, "Open"),
        deed("say", "Message", acts.message, `Message to ${terminal.name}`),
        deed("move", "Move", acts.failoverTerminal, `Move the desktop of ${terminal.name}`),
        deed("release", "Release", acts.release, `Release ${terminal.name}`))),
    terminal.waiting ? h("p", { class: "note" }, `Waiting: ${terminal.waiting}`) : null,
    sessions.length ? h("ul", { class: "sessions" }, sessions.map((session) => sessionRow(names, session))) : null);
}

// Higher is worse.
function weight(terminal, sessions) {
  if (terminal.state === "waiting") return 5;
  if (sessions.some((session) => !session.primary || ["failed", "frozen", "ended"].includes(session.phase))) return 4;
  if (terminal.state === "placing") return 3;
  if (terminal.state === "serving" && (sessions.some((session) => !isGuarded(session)) || !(terminal.presentation?.backups ?? []).length)) return 2;
  return terminal.state === "serving" ? 1 : 0;
}

// Without what touchAges keeps up to date.
const stampOf = (names, terminal, sessions) => JSON.stringify([terminal.name, terminal.profile, terminal.state, terminal.epoch, terminal.waiting, terminal.presentation,
  [terminal.presentation?.primary, ...(terminal.presentation?.backups ?? []).map((backup) => backup.node)].map((id) => names.get(id)),
  sessions.map((session) => ({ ...session, pause_ms: 0, held: Boolean(newestCheckpoint(session)), late: Boolean(lateCheckpoint(session)), backups: (session.backups ?? []).map((backup) => [backup.node, backup.phase, names.get(backup.node)]) }))]);

// Items for each(), worst first.
export function terminalItems(view, { redraw, finds }) {
  const names = new Map(view.nodes.map((node) => [node.id, node.name]));
  const sessions = new Map(view.terminals.map((terminal) => [terminal.id, []]));
  for (const session of view.sessions) sessions.get(session.terminal)?.push(session);
  const found = view.terminals.filter((terminal) => finds(terminal.name) || finds(terminal.profile) ||
    sessions.get(terminal.id).some((session) => finds(session.title || session.application) || finds(names.get(session.primary) ?? "")) || finds(names.get(terminal.presentation?.primary) ?? ""));
  const sorted = found.map((terminal, i) => [weight(terminal, sessions.get(terminal.id)), i, terminal]).sort((a, b) => b[0] - a[0] || a[1] - b[1]).map(([, , terminal]) => terminal);
  const items = sorted.slice(0, limit).map((terminal) => ({
    key: String(terminal.id), stamp: stampOf(names, terminal, sessions.get(terminal.id)), make: () => terminalCard(names, terminal, sessions.get(terminal.id)),
    touch: (card) => touchAges(card, sessions.get(terminal.id)),
  }));
  const rest = sorted.length - items.length;
  if (rest > 0) items.push({ key: " rest", stamp: `${rest}`, make: () => h("button", { class: "more", type: "button", onclick: () => { limit += MORE; redraw(); } }, `Show ${Math.min(rest, MORE)} more of ${plural(sorted.length, "terminal")}`) });
  return items;
}

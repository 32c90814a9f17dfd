// Terminals with who serves and who stands by, and their sessions with the protection in force.

import { h, duration, size } from "./dom.js";
import { acts, confirmAct } from "./acts.js";

function nodeName(view, id) { return view.nodes.find((node) => node.id === id)?.name ?? `node ${id}`; }

function serving(view, { primary, phase, backups = [] } = {}) {
  if (!primary) return [h("span", { class: "soft" }, "nobody yet")];
  return [h("span", { class: `duty primary ${phase}`, title: phase }, nodeName(view, primary), phase === "running" ? "" : ` ${phase}`),
    ...backups.map((backup) => h("span", { class: `duty standby ${backup.phase}`, title: backup.phase }, nodeName(view, backup.node), backup.phase === "standby" ? "" : ` ${backup.phase}`)),
    backups.length === 0 && h("span", { class: "badge warn" }, "no backup")];
}

function checkpoint(session) {
  const held = (session.backups ?? []).map((backup) => backup.checkpoint).filter(Boolean).sort((a, b) => a.age_ms - b.age_ms)[0];
  const { wanted, in_force: inForce, reason } = session.protection ?? {};
  // Nothing is in force yet for what does not run.
  if (session.phase !== "running") return [h("span", { class: "soft" }, session.detail || session.phase)];
  const parts = [h("span", { class: `badge ${inForce === wanted ? (inForce === "restart" ? "" : "good") : "warn"}` }, inForce ?? "unknown")];
  if (held) parts.push(h("span", { class: "soft", title: `checkpoint ${held.epoch}/${held.sequence}, ${size(held.bytes)}, the application stood still for ${session.pause_ms} ms` }, `${duration(held.age_ms * 1000)} ago, ${size(held.bytes)}`));
  else if (inForce === "checkpoint") parts.push(h("span", { class: "soft" }, "none held yet"));
  if (inForce !== wanted) parts.push(h("p", { class: "note" }, `Not protected by ${wanted}${reason ? `: ${reason}` : ""}`));
  return parts;
}

function sessionRow(view, session) {
  return h("li", { class: "session" },
    h("div", { class: "what" }, h("strong", {}, session.title || session.application), h("span", { class: "soft" }, `session ${session.id}, epoch ${session.epoch}`)),
    h("div", { class: "who" }, serving(view, session)),
    h("div", { class: "rest" }, h("div", { class: "guard" }, checkpoint(session)),
      h("button", { class: "small", type: "button", "data-key": `over-${session.id}`, "aria-label": `Fail over session ${session.id}`, onclick: () => confirmAct(acts.failoverSession(session)) }, "Fail over")),
    session.lost ? h("p", { class: "note lost" }, `Last take-over lost ${session.lost}`) : null);
}

const stateClass = { serving: "good", waiting: "warn", placing: "warn", releasing: "" };

function terminalCard(view, terminal) {
  const sessions = view.sessions.filter((session) => session.terminal === terminal.id);
  return h("article", { class: "card terminal", "aria-label": `Terminal ${terminal.name}` },
    h("header", {},
      h("div", { class: "what" }, h("h3", {}, terminal.name), h("span", { class: `badge ${stateClass[terminal.state] ?? ""}` }, terminal.state),
        h("span", { class: "soft" }, `profile ${terminal.profile}, epoch ${terminal.epoch}`)),
      h("div", { class: "who" }, h("span", { class: "soft" }, "Desktop"), serving(view, terminal.presentation)),
      h("div", { class: "deeds" },
        h("a", { class: "button small", href: `/terminal/${encodeURIComponent(terminal.name)}`, target: "_blank", rel: "noopener", "data-key": `open-${terminal.id}` }, "Open"),
        h("button", { class: "small", type: "button", "data-key": `move-${terminal.id}`, onclick: () => confirmAct(acts.failoverTerminal(terminal)) }, "Move desktop"),
        h("button", { class: "small", type: "button", "data-key": `release-${terminal.id}`, onclick: () => confirmAct(acts.release(terminal)) }, "Release"))),
    terminal.waiting ? h("p", { class: "note" }, `Waiting: ${terminal.waiting}`) : null,
    sessions.length ? h("ul", { class: "sessions" }, sessions.map((session) => sessionRow(view, session))) : null);
}

export function terminalCards(view) {
  if (!view.terminals.length) return h("p", { class: "soft" }, "No terminals. Define one: understudy define-terminal NAME --profile PROFILE --reason TEXT");
  return view.terminals.map((terminal) => terminalCard(view, terminal));
}

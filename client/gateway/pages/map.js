// The map: hosts, their nodes, and on each node what it serves and what it stands by for.

import { h, duration, memory } from "./dom.js";
import { acts, confirmAct, showDetails } from "./acts.js";

// node id → [{ standby, text, title }], from terminals and sessions.
export function dutiesOf(view) {
  const duties = new Map();
  const add = (node, duty) => { if (node) duties.set(node, [...(duties.get(node) ?? []), duty]); };
  const name = new Map(view.terminals.map((terminal) => [terminal.id, terminal.name]));
  for (const terminal of view.terminals) {
    const { primary, phase, backups = [] } = terminal.presentation ?? {};
    add(primary, { text: terminal.name, what: "desktop", phase, primary: true });
    for (const backup of backups) add(backup.node, { text: terminal.name, what: "desktop", phase: backup.phase });
  }
  for (const session of view.sessions) {
    const text = name.get(session.terminal) ?? `terminal ${session.terminal}`;
    add(session.primary, { text, what: session.title || session.application, phase: session.phase, primary: true });
    for (const backup of session.backups ?? []) add(backup.node, { text, what: session.title || session.application, phase: backup.phase });
  }
  return duties;
}

function dutyPill(duty) {
  const how = duty.primary ? "serves" : "stands by for";
  return h("span", { class: `duty ${duty.primary ? "primary" : "standby"} ${duty.phase}`, title: `${how} ${duty.what} of ${duty.text}: ${duty.phase}` },
    h("b", {}, duty.what), ` ${duty.text}`, duty.phase === "preparing" ? " …" : "");
}

const roleText = { execution: "runs applications", presentation: "shows desktops", none: "" };

function nodeDetails(node) {
  const rows = [
    ["State", `${node.state}${node.role === "none" ? "" : `, ${roleText[node.role] ?? node.role}`}`],
    ["Health", `${node.health}, heard ${duration(node.heard_ms_ago * 1000)} ago`],
    ["Last decision", node.reason],
    ["Proof", node.proof && `${node.proof.kind}: ${node.proof.text}`],
    ["Host", node.host], ["Kind", node.kind === "static" ? "enrolled by hand" : `instance, flavour ${node.flavour}`],
    ["Slots", `${node.used} of ${node.slots} used`],
    ["Load", `${Math.round(node.load_permille / 10)} %, ${memory(node.memory_used_mib)} used`],
    ["Checkpoints", node.can_checkpoint ? "possible" : "not possible on this node"], ["Door", node.door],
  ];
  const button = (act, text, risky) => h("button", { type: "button", class: risky ? "risky" : "", onclick: () => confirmAct(act(node)) }, text);
  const alive = !["failed", "destroying"].includes(node.state);
  showDetails(node.name, rows, alive ? [node.draining ? button(acts.undrain, "Use again") : button(acts.drain, "Drain"),
    node.kind === "static" ? null : button(acts.kill, "Kill instance", true)].filter(Boolean) : []);
}

function nodeTile(node, duties) {
  const state = node.state === "serving" ? roleText[node.role] ?? node.role : node.state;
  const worry = node.health === "healthy" || node.state === "booting" || node.state === "creating" ? "" : node.health;
  return h("button", {
    class: `node ${node.health} ${node.state} ${node.role}`, type: "button", "data-key": `node-${node.id}`, onclick: () => nodeDetails(node),
    "aria-label": `${node.name}, ${state}, ${node.health}${duties.map((duty) => `, ${duty.primary ? "serves" : "stands by for"} ${duty.what} of ${duty.text}`).join("")}`,
  },
    h("span", { class: "title" }, h("strong", {}, node.name), h("span", { class: "soft" }, state), node.draining && h("span", { class: "badge warn" }, "draining"), worry && h("span", { class: "worry" }, worry)),
    h("span", { class: "duties" }, duties.map(dutyPill)),
    (worry || node.state === "booting" || node.state === "failed") && node.reason ? h("span", { class: "reason" }, node.reason) : null);
}

function meter(label, used, capacity, text) {
  const share = capacity > 0 ? Math.min(1, used / capacity) : 0;
  const bar = h("i", {});
  bar.style.width = `${share * 100}%`;
  return h("span", { class: `meter ${share > 0.9 ? "full" : ""}`, title: `${label}: ${text}` }, h("span", { class: "soft" }, label), h("span", { class: "bar" }, bar), h("span", {}, text));
}

function hostCard(host, nodes, duties) {
  const resting = host.state === "maintenance";
  return h("article", { class: `card host ${host.state}`, "aria-label": `Host ${host.name}` },
    h("header", {},
      h("h3", {}, host.name), h("span", { class: "soft", title: host.acceleration_reason || "how guests run, as proven on this host" },
        [host.domain && host.domain !== host.name ? `domain ${host.domain}` : "", host.acceleration].filter(Boolean).join(", ")),
      host.state !== "active" && h("span", { class: `badge ${host.state === "unreachable" ? "bad" : "warn"}` }, host.state),
      h("span", { class: "deeds" }, h("button", { class: "small", type: "button", "data-key": `rest-${host.name}`, "aria-label": `${resting ? "End" : "Start"} maintenance of ${host.name}`, onclick: () => confirmAct(acts.maintenance(host, resting ? "off" : "on")) }, resting ? "Use again" : "Maintenance"))),
    host.reason ? h("p", { class: "note" }, host.reason) : null,
    h("div", { class: "meters" },
      meter("CPUs", host.used?.vcpus ?? 0, host.capacity?.vcpus ?? 0, `${host.used?.vcpus ?? 0} of ${host.capacity?.vcpus ?? "?"}`),
      meter("Memory", host.used?.memory_mib ?? 0, host.capacity?.memory_mib ?? 0, `${memory(host.used?.memory_mib ?? 0)} of ${memory(host.capacity?.memory_mib ?? 0)}`)),
    h("div", { class: "nodes" }, nodes.length ? nodes.map((node) => nodeTile(node, duties.get(node.id) ?? [])) : h("p", { class: "soft none" }, "No instances.")));
}

export function hostMap(view) {
  const duties = dutiesOf(view);
  const known = new Set(view.hosts.map((host) => host.name));
  const cards = view.hosts.map((host) => hostCard(host, view.nodes.filter((node) => node.host === host.name), duties));
  const elsewhere = view.nodes.filter((node) => !known.has(node.host));
  if (elsewhere.length) {
    cards.push(h("article", { class: "card host", "aria-label": "Other nodes" }, h("header", {}, h("h3", {}, "Enrolled by hand")),
      h("div", { class: "nodes" }, elsewhere.map((node) => nodeTile(node, duties.get(node.id) ?? [])))));
  }
  return cards.length ? cards : h("p", { class: "soft" }, "No hosts. Enter them in the manager's configuration.");
}

// What the map depends on, without what changes with every heartbeat and is seen in the details only.
export function mapKey(view) {
  return [view.hosts, view.terminals, view.sessions.map(({ id, title, application, terminal, primary, phase, backups }) =>
    [id, title, application, terminal, primary, phase, (backups ?? []).map((backup) => [backup.node, backup.phase])]),
  view.nodes.map((node) => ({ ...node, heard_ms_ago: 0, load_permille: Math.round(node.load_permille / 50), memory_used_mib: Math.round(node.memory_used_mib / 16) }))];
}

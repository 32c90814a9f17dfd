// The map: hosts, their nodes, and on each node what it serves and what it stands by for. Hosts and nodes with
// something wrong come first; of large hosts the healthy rest is folded.

import { h, duration, memory, plural } from "./dom.js";
import { acts, confirmAct, showDetails } from "./acts.js";
import { inShort } from "./rehearsal.js";

const HOSTS_SHOWN = 24;
const NODES_SHOWN = 12;

const unfolded = new Set();   // hosts shown whole, "*": all hosts
let newest = new Map();       // node id → node; a tile is not made anew for a heartbeat

// node id → [{ standby, text, title }], from terminals and sessions.
export function dutiesOf(view) {
  const duties = new Map();
  const add = (node, duty) => { if (!node) return; const list = duties.get(node); if (list) list.push(duty); else duties.set(node, [duty]); };
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
const gone = (node) => ["failed", "destroying"].includes(node.state);

function nodeDetails(node) {
  const rows = [
    ["State", `${node.state}${node.role === "none" ? "" : `, ${roleText[node.role] ?? node.role}`}`],
    ["Health", node.heard_ms_ago === undefined ? node.health : `${node.health}, heard ${duration(node.heard_ms_ago * 1000)} ago`],
    ["Lease", node.lease_ms === undefined ? "" : `${duration(node.lease_ms * 1000)} left, margin included`],
    ["Last decision", node.reason],
    ["Proof", node.proof && `${node.proof.kind}: ${node.proof.text}`],
    ["Hypervisor", node.error],
    ["Host", node.host], ["Kind", node.kind === "static" ? "enrolled by hand" : `instance, flavour ${node.flavour}`],
    ["Slots", `${node.used} of ${node.slots} used`],
    ["Load", node.load_permille === undefined ? "" : `${Math.round(node.load_permille / 10)} %, ${memory(node.memory_used_mib)} used`],
    ["Checkpoints", node.can_checkpoint === undefined ? "" : node.can_checkpoint ? "possible" : `not possible on this node${node.checkpoint_reason ? `: ${node.checkpoint_reason}` : ""}`], ["Door", node.door],
  ];
  const button = (act, text, risky) => h("button", { type: "button", class: risky ? "risky" : "", onclick: () => confirmAct(act(node)) }, text);
  showDetails(node.name, rows, gone(node) ? [] : [node.draining ? button(acts.undrain, "Use again") : button(acts.drain, "Drain"),
    node.kind === "static" ? null : button(acts.kill, "Kill instance", true)].filter(Boolean));
}

const worryOf = (node) => (node.health === "healthy" || node.state === "booting" || node.state === "creating" ? "" : node.health);

// Higher is worse.
function weight(node) {
  if (node.held || ["silent", "down"].includes(node.health)) return gone(node) ? 2 : 5;
  if (node.health === "suspect") return 4;
  if (node.state === "failed") return 3;
  if (node.draining) return 2;
  return ["creating", "booting", "scrubbing", "deploying"].includes(node.state) ? 1 : 0;
}

function nodeTile(node, duties) {
  const state = node.state === "serving" ? roleText[node.role] ?? node.role : node.state;
  const worry = worryOf(node);
  return h("button", {
    class: `node ${node.health} ${node.state} ${node.role}`, type: "button", "data-key": `node-${node.id}`, onclick: () => nodeDetails(newest.get(node.id) ?? node),
  },
    h("span", { class: "title" }, h("strong", {}, node.name), h("span", { class: "soft" }, state), node.draining && h("span", { class: "badge warn" }, "draining"),
      worry ? h("span", { class: "worry" }, worry) : h("span", { class: "hidden" }, node.health)),
    h("span", { class: "duties" }, duties.map(dutyPill)),
    (worry || node.state === "booting" || node.state === "failed") && node.reason ? h("span", { class: "reason" }, node.reason) : null);
}

function meter(label, used, capacity, text) {
  const share = capacity > 0 ? Math.min(1, used / capacity) : 0;
  const bar = h("i", {});
  bar.style.width = `${share * 100}%`;
  return h("span", { class: `meter ${share > 0.9 ? "full" : ""}`, title: `${label}: ${text}` }, h("span", { class: "soft" }, label), h("span", { class: "bar" }, bar), h("span", {}, text));
}

const POWER = { "switching off": "warn", off: "", failing: "bad" };   // what a host's power is worth telling, and how urgent

function deedsOf(host) {
  const resting = host.state === "maintenance";
  const canFence = ["ready", "failing"].includes(host.fence?.state);
  return h("span", { class: "deeds" },
    canFence && h("button", { class: "small", type: "button", "data-key": `fence-${host.name}`, "aria-label": `Switch off ${host.name}`, onclick: () => confirmAct(acts.fence(host)) }, "Switch off"),
    h("button", { class: "small", type: "button", "data-key": `rest-${host.name}`, "aria-label": resting ? `Use again: ${host.name}` : `Maintenance of ${host.name}`, onclick: () => confirmAct(acts.maintenance(host, resting ? "off" : "on")) }, resting ? "Use again" : "Maintenance"));
}

function nodeTiles(name, nodes, duties, redraw) {
  if (!nodes.length) return [h("p", { class: "soft none" }, "No instances.")];
  const sorted = nodes.map((node) => [weight(node), node]).sort((a, b) => b[0] - a[0] || a[1].id - b[1].id).map(([, node]) => node);
  const shown = unfolded.has(name) ? sorted : sorted.slice(0, NODES_SHOWN);
  const tiles = shown.map((node) => nodeTile(node, duties.get(node.id) ?? []));
  if (shown.length < sorted.length) {
    const rest = sorted.slice(NODES_SHOWN);
    const unwell = rest.filter((node) => weight(node) > 1).length;
    tiles.push(h("button", { class: "more", type: "button", "data-key": `more-${name}`, onclick: () => { unfolded.add(name); redraw(); } }, `and ${rest.length} more${unwell ? `, ${unwell} of them not well` : ", all well"}`));
  }
  return tiles;
}

function whatIfLine(host, answer, look) {
  if (!answer) return null;
  const level = answer.counts.without_place ? "bad" : answer.counts.fewer_backups ? "warn" : "";
  return h("button", { class: `what-if ${level}`, type: "button", "data-key": `what-if-${host.name}`, onclick: () => look(host.name) },
    h("span", { class: "soft" }, "If it died now: "), inShort(answer));
}

function hostCard(host, nodes, duties, { answer, look, redraw }) {
  return h("article", { class: `card host ${host.state}`, "aria-label": `Host ${host.name}`, id: `host-${host.name}` },
    h("header", {},
      h("h3", {}, host.name), h("span", { class: "soft", title: host.acceleration_reason || "how guests run, as proven on this host" },
        [host.domain && host.domain !== host.name ? `domain ${host.domain}` : "", host.acceleration].filter(Boolean).join(", ")),
      host.state !== "active" && h("span", { class: `badge ${host.state === "unreachable" ? "bad" : "warn"}` }, host.state),
      host.fence?.state in POWER && h("span", { class: `badge ${POWER[host.fence.state]}` }, host.fence.state === "failing" ? "could not be switched off" : host.fence.state),
      deedsOf(host)),
    host.reason ? h("p", { class: "note" }, host.reason) : null,
    h("div", { class: "meters" },
      meter("CPUs", host.used?.vcpus ?? 0, host.capacity?.vcpus ?? 0, `${host.used?.vcpus ?? 0} of ${host.capacity?.vcpus ?? "?"}`),
      meter("Memory", host.used?.memory_mib ?? 0, host.capacity?.memory_mib ?? 0, `${memory(host.used?.memory_mib ?? 0)} of ${memory(host.capacity?.memory_mib ?? 0)}`)),
    h("div", { class: "nodes" }, nodeTiles(host.name, nodes, duties, redraw)),
    whatIfLine(host, answer, look));
}

// What a host's card depends on, without what changes with every heartbeat and is seen in the details only.
const stampOf = (host, nodes, duties, answer) => JSON.stringify([host, unfolded.has(host.name), answer && [answer.counts, answer.expected_us],
  nodes.map((node) => [node.id, node.name, node.state, node.role, node.health, node.held, node.draining, node.reason, node.used, node.proof?.kind, duties.get(node.id)])]);

// Items for each(): hosts, worst first. `finds(name)` says whether something is looked for.
export function hostItems(view, { rehearsals, look, redraw, finds }) {
  const duties = dutiesOf(view);
  newest = new Map(view.nodes.map((node) => [node.id, node]));
  const byHost = new Map(view.hosts.map((host) => [host.name, []]));
  const elsewhere = [];
  for (const node of view.nodes) (byHost.get(node.host) ?? elsewhere).push(node);
  const hosts = view.hosts.map((host) => ({ host, nodes: byHost.get(host.name) }));
  if (elsewhere.length) hosts.push({ host: { name: "enrolled by hand", state: "active", bare: true }, nodes: elsewhere });
  const said = (node) => (duties.get(node.id) ?? []).some((duty) => finds(duty.text) || finds(duty.what));
  const wanted = hosts.map(({ host, nodes }) => ({ host, nodes: finds(host.name) ? nodes : nodes.filter((node) => finds(node.name) || said(node)) }))
    .filter(({ host, nodes }) => nodes.length || finds(host.name));
  const worst = ({ host, nodes }) => (host.state === "unreachable" ? 10 : 0) + nodes.reduce((most, node) => Math.max(most, weight(node)), 0);
  const sorted = wanted.map((entry) => [worst(entry) > 1 ? worst(entry) : 0, entry]).sort((a, b) => b[0] - a[0]).map(([, entry]) => entry);
  const shown = unfolded.has("*") ? sorted : sorted.slice(0, HOSTS_SHOWN);
  const items = shown.map(({ host, nodes }) => {
    const answer = rehearsals.get(host.name);
    return { key: host.name, stamp: stampOf(host, nodes, duties, answer), make: () => (host.bare ? bareCard(nodes, duties, redraw) : hostCard(host, nodes, duties, { answer, look, redraw })) };
  });
  const rest = sorted.length - shown.length;
  if (rest > 0) items.push({ key: " rest", stamp: `${rest}`, make: () => h("button", { class: "more", type: "button", onclick: () => { unfolded.add("*"); redraw(); } }, `Show ${plural(rest, "more host")}`) });
  return items;
}

function bareCard(nodes, duties, redraw) {
  return h("article", { class: "card host", "aria-label": "Other nodes" }, h("header", {}, h("h3", {}, "Enrolled by hand")),
    h("div", { class: "nodes" }, nodeTiles("enrolled by hand", nodes, duties, redraw)));
}

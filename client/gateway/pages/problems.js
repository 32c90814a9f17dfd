// What is wrong, worst first: read from the view alone, so that whoever looks at three in the morning starts at
// the right end. Each problem says what, where, why in the system's words, and offers what can be done.

import { duration, clock, plural } from "./dom.js";
import { acts } from "./acts.js";

// Beyond so many of a kind they are told together.
const FEW = 3;
// A checkpoint older than this many of its own intervals (and a minute) is late.
const LATE_INTERVALS = 4;

export const LEVELS = ["bad", "warn", "info"];

const dead = (node) => ["failed", "destroying"].includes(node.state);

export function newestCheckpoint(session) {
  return (session.backups ?? []).map((backup) => backup.checkpoint).filter(Boolean).sort((a, b) => a.age_ms - b.age_ms)[0];
}

export const isGuarded = (session) => session.protection?.in_force === session.protection?.wanted && (session.backups ?? []).some((backup) => backup.phase === "standby");

export function lateCheckpoint(session) {
  const held = newestCheckpoint(session);
  if (session.phase !== "running" || session.protection?.in_force !== "checkpoint" || !held) return null;
  return held.age_ms > Math.max(60000, LATE_INTERVALS * (session.interval_ms ?? 0)) ? held : null;
}

function ofManager({ gate, store, alarms = [] }) {
  const found = [];
  if (store && store !== "ok") found.push({ level: "bad", kind: "store", what: "The store takes no records", why: `${store}. What runs goes on; nothing new is promised.` });
  if (gate?.closed) found.push({ level: "bad", kind: "gate", what: "Fail-overs without proof are held", why: gate.reason, act: acts.overrideGate(), deed: "Go on nevertheless" });
  for (const text of alarms) found.push({ level: "warn", kind: `alarm-${text}`, what: "Alarm", why: text });
  return found;
}

function ofTerminals(view) {
  const waiting = view.terminals.filter((terminal) => terminal.state === "waiting" || (terminal.state === "placing" && terminal.epoch > 0));
  const found = waiting.map((terminal) => ({ level: "bad", kind: "waiting", name: terminal.name, what: `Terminal ${terminal.name} is not served`, why: terminal.waiting || "its desktop is being prepared", go: `terminal-${terminal.id}` }));
  const names = new Map(view.terminals.map((terminal) => [terminal.id, terminal.name]));
  for (const session of view.sessions) {
    const title = `${session.title || session.application} of ${names.get(session.terminal) ?? session.terminal}`;
    const go = `terminal-${session.terminal}`;
    if (!session.primary || ["failed", "frozen", "ended"].includes(session.phase)) {
      found.push({ level: "bad", kind: "stopped", name: title, what: `${title} does not run`, why: session.detail || (session.primary ? session.phase : "no machine has it"), go });
    } else if (session.phase === "running" && session.protection && session.protection.in_force !== session.protection.wanted) {
      found.push({ level: "warn", kind: "unprotected", name: title, what: `${title} is protected by ${session.protection.in_force} only`, why: session.protection.reason || `${session.protection.wanted} is wanted`, go });
    } else if (session.phase === "running" && !(session.backups ?? []).length) {
      found.push({ level: "warn", kind: "no-backup", name: title, what: `${title} has no backup`, why: "If its machine fails now, it starts afresh.", go });
    } else if (lateCheckpoint(session)) {
      found.push({ level: "warn", kind: "late", name: title, what: `The newest checkpoint of ${title} is ${duration(lateCheckpoint(session).age_ms * 1000)} old`, why: "That much would be lost now.", go });
    }
  }
  for (const terminal of view.terminals) {
    if (terminal.state === "serving" && !(terminal.presentation?.backups ?? []).length) {
      found.push({ level: "warn", kind: "no-standby", name: terminal.name, what: `The desktop of ${terminal.name} has no standby`, why: "If its machine fails now, a place is looked for first.", go: `terminal-${terminal.id}` });
    }
  }
  return found;
}

function ofMachines(view) {
  const found = [];
  for (const host of view.hosts) {
    const power = host.fence?.state;
    if (power === "failing") found.push({ level: "bad", kind: "fence", name: host.name, what: `Host ${host.name} could not be switched off`, why: host.fence.error, act: acts.fence(host), deed: "Try again", go: `host-${host.name}` });
    if (power === "off") found.push({ level: "info", kind: "off", name: host.name, what: `Host ${host.name} is switched off`, why: "Its fence agent confirmed it. Switch it on, then use it again.", act: acts.maintenance(host, "off"), deed: "Use again", go: `host-${host.name}` });
    else if (host.state === "unreachable") found.push({ level: "bad", kind: "unreachable", name: host.name, what: `Host ${host.name} does not answer`, why: host.reason, go: `host-${host.name}` });
    if (host.state === "maintenance" && power !== "off") found.push({ level: "info", kind: "maintenance", name: host.name, what: `Host ${host.name} is in maintenance`, why: "Nothing new is placed there.", act: acts.maintenance(host, "off"), deed: "Use again", go: `host-${host.name}` });
  }
  for (const node of view.nodes) {
    if (node.held) found.push({ level: "bad", kind: "held", name: node.name, what: `Node ${node.name} is silent and held by the gate`, why: node.reason, go: `node-${node.id}` });
    else if (!dead(node) && ["silent", "down"].includes(node.health)) found.push({ level: "bad", kind: node.health, name: node.name, what: `Node ${node.name} is ${node.health}`, why: node.proof ? `proof: ${node.proof.text}` : `${node.reason}; proof is still owed`, go: `node-${node.id}` });
    else if (!dead(node) && node.health === "suspect") found.push({ level: "warn", kind: "suspect", name: node.name, what: `Node ${node.name} is suspect`, why: node.reason, go: `node-${node.id}` });
    else if (node.state === "failed") found.push({ level: "warn", kind: "failed", name: node.name, what: `${node.name} could not be made or ended`, why: node.error || node.reason, go: `node-${node.id}` });
    if (node.draining && !dead(node)) found.push({ level: "info", kind: "draining", name: node.name, what: `Node ${node.name} is drained`, why: node.reason, act: acts.undrain(node), deed: "Use again", go: `node-${node.id}` });
  }
  for (const pool of view.pools) {
    if (pool.paused) found.push({ level: "bad", kind: "paused", name: pool.flavour, what: `Pool ${pool.flavour} makes no machines`, why: pool.reason });
    else if (pool.reason && pool.idle + pool.creating < pool.min_idle) found.push({ level: "warn", kind: "short", name: pool.flavour, what: `Pool ${pool.flavour} has ${pool.idle} idle of ${pool.min_idle}`, why: pool.reason });
  }
  return found;
}

function ofIncidents(view) {
  return view.incidents.filter((incident) => incident.open).map((incident) => ({
    level: "warn", kind: "incident", name: incident.title, what: `Incident ${incident.id}: ${incident.title}`,
    why: `open since ${clock(incident.opened_wall_ms)}${incident.phases?.length ? `, last phase: ${incident.phases.at(-1).name}` : ""}`, incident: incident.id,
  }));
}

function ofRehearsals(rehearsals) {
  return [...rehearsals].filter(([, { counts }]) => counts?.without_place > 0).map(([host, { counts, without_place: lacks }]) => ({
    level: "warn", kind: "what-if", name: host, what: `If ${host} died now, ${counts.without_place} would have no place`,
    why: lacks[0] ? `${lacks[0].what} of ${lacks[0].terminal}: ${lacks[0].reason}` : "", rehearsal: host,
  }));
}

const TOGETHER = {
  waiting: (n) => `${n} terminals are not served`, stopped: (n) => `${n} applications do not run`, unprotected: (n) => `${n} applications are not protected as wanted`,
  "no-backup": (n) => `${n} applications have no backup`, late: (n) => `The checkpoints of ${n} applications are late`, "no-standby": (n) => `${n} desktops have no standby`,
  unreachable: (n) => `${n} hosts do not answer`, maintenance: (n) => `${n} hosts are in maintenance`, off: (n) => `${n} hosts are switched off`, fence: (n) => `${n} hosts could not be switched off`, held: (n) => `${n} silent nodes are held by the gate`,
  silent: (n) => `${n} nodes are silent`, down: (n) => `${n} nodes are down`, suspect: (n) => `${n} nodes are suspect`, failed: (n) => `${n} instances failed`,
  draining: (n) => `${n} nodes are drained`, incident: (n) => `${n} incidents are open`, "what-if": (n) => `If any of ${plural(n, "host")} died now, something would have no place`,
};

// Many of a kind become one line that names some of them and says the first one's cause.
function gathered(problems) {
  const kinds = new Map();
  for (const problem of problems) kinds.set(problem.kind, [...(kinds.get(problem.kind) ?? []), problem]);
  return [...kinds.values()].flatMap((same) => {
    if (same.length <= FEW || !TOGETHER[same[0].kind]) return same;
    const names = same.slice(0, FEW).map((problem) => problem.name).join(", ");
    return [{ ...same[0], act: null, what: TOGETHER[same[0].kind](same.length), why: `${names} and ${same.length - FEW} more. ${same[0].why ?? ""}` }];
  });
}

// [{ level, kind, name, what, why, act, deed, go, incident, rehearsal }], worst first.
export function problemsOf(view, rehearsals = new Map()) {
  const found = gathered([...ofManager(view.manager), ...ofTerminals(view), ...ofMachines(view), ...ofIncidents(view), ...ofRehearsals(rehearsals)]);
  return found.map((problem, i) => ({ problem, i }))
    .sort((a, b) => LEVELS.indexOf(a.problem.level) - LEVELS.indexOf(b.problem.level) || a.i - b.i)
    .map(({ problem }) => problem);
}

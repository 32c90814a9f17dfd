// A large site: 1,000 nodes on 50 hosts, 500 terminals with two applications each, as the manager would show it.
// The same from the same number: no randomness.
export function largeView({ hosts = 50, perHost = 20, terminals = 500, broken = false } = {}) {
  const nodes = [];
  for (let i = 0; i < hosts * perHost; i += 1) {
    const serving = i % 5 !== 4;
    nodes.push({ id: i + 1, name: `us-${i + 1}`, host: `host-${Math.floor(i / perHost)}`, kind: "instance", state: serving ? "serving" : "idle", role: serving ? (i % 2 ? "execution" : "presentation") : "none",
      health: "healthy", reason: "registered", draining: false, flavour: "small", slots: 6, used: serving ? 4 : 0, door: `192.0.2.1:${20000 + i}`, heard_ms_ago: (i * 37) % 1000, lease_ms: 9000, held: false,
      load_permille: (i * 13) % 400, memory_used_mib: 180 + (i % 60), can_checkpoint: true, checkpoint_reason: "", error: "", proof: null });
  }
  const at = (i, role) => { const odd = role === "execution"; let n = (i * 7) % nodes.length; while (nodes[n].role !== (odd ? "execution" : "presentation")) n = (n + 1) % nodes.length; return nodes[n].id; };
  const view = { manager: { incarnation: 3, started_wall_ms: 1795360400000, now_wall_ms: 1795400000000, version: "0.1.0", store: "ok", gate: { closed: false, reason: "", held: 0, population: nodes.length }, alarms: [] },
    figures: { failovers: [], phases: [] }, hosts: [], nodes, terminals: [], sessions: [], pools: [{ flavour: "small", image: "base", vcpus: 1, memory_mib: 512, slots: 6, idle: 200, serving: 800, creating: 0, total: 1000, min_idle: 100, max_idle: 300, max_total: 1200, making_ms: 6400, paused: false, reason: "" }], incidents: [] };
  for (let i = 0; i < hosts; i += 1) {
    view.hosts.push({ id: 2000 + i, name: `host-${i}`, uri: `qemu+tls://host-${i}/system`, domain: `rack-${i % 10}`, state: "active", reason: "", capacity: { vcpus: 32, memory_mib: 65536 }, used: { vcpus: 20, memory_mib: 10240 },
      acceleration: "kvm", acceleration_reason: "", can_fence: true, fence: { state: "ready", error: "" }, instances: nodes.filter((node) => node.host === `host-${i}`).map((node) => node.id) });
  }
  for (let i = 0; i < terminals; i += 1) {
    const id = 3000 + i;
    view.terminals.push({ id, name: `desk-${i}`, profile: "office", state: "serving", waiting: "", attached: true, epoch: 1 + (i % 3),
      presentation: { primary: at(i, "presentation"), phase: "running", detail: "", backups: [{ node: at(i + 211, "presentation"), phase: "standby" }] }, sessions: [4000 + 2 * i, 4001 + 2 * i], windows: [], layout: [] });
    for (const [k, title] of ["Writer", "Ledger"].entries()) {
      view.sessions.push({ id: 4000 + 2 * i + k, terminal: id, application: title.toLowerCase(), title, epoch: 1, primary: at(3 * i + k, "execution"), phase: "running", detail: "",
        backups: [{ node: at(3 * i + k + 101, "execution"), phase: "standby", checkpoint: { epoch: 1, sequence: 40 + (i % 9), age_ms: 1000 + (i * 11) % 4000, bytes: 1400000, pause_ms: 38 } }],
        protection: { wanted: "checkpoint", in_force: "checkpoint", reason: "" }, interval_ms: 5000, pause_ms: 38, lost: "" });
    }
  }
  for (let i = 0; i < 50; i += 1) {
    view.incidents.push({ id: 9000 - i, kind: i % 3 ? "execution" : "presentation", node: 1, session: 4000, terminal: 3000, title: `Writer of desk-${i} lost its machine`, open: false, opened_wall_ms: 1795399991800 - i * 600000,
      phases: ["failed", "detected", "proven", "decided", "durable", "restored", "connected", "picture"].map((name, k) => ({ name, at_us: k * k * 14000 })), evidence: "its connection broke", proof: "qemu ended", decision: "us-7 holds the newest checkpoint", alternatives: [], lost: "nothing" });
  }
  if (broken) {
    for (const node of view.nodes.filter((one) => one.host === "host-37")) { node.health = "silent"; node.reason = "no sign for 3400 ms"; }
    view.hosts[37].state = "unreachable";
    view.hosts[37].reason = "Cannot recv data: Connection reset by peer";
    for (const i of [123, 456]) { view.terminals[i].state = "waiting"; view.terminals[i].waiting = "no machine is free for your desktop; one is being made"; }
  }
  return view;
}

// Another moment of the same site: heartbeats, checkpoints, load.
export function laterView(view, step) {
  for (const node of view.nodes) { node.heard_ms_ago = (node.id * 37 + step * 311) % 1000; node.load_permille = (node.id * 13 + step * 29) % 400; node.memory_used_mib += step % 3; }
  for (const session of view.sessions) session.backups[0].checkpoint.age_ms = 1000 + (session.id * 11 + step * 900) % 4000;
  view.manager.now_wall_ms += 1000;
  return view;
}

export function inParts(view) {
  const { nodes, terminals, sessions, incidents, ...rest } = view;
  return [{ ...rest, nodes: [], terminals: [], sessions: [], incidents: [] }, { nodes }, { terminals }, { sessions: sessions.slice(0, 600) }, { sessions: sessions.slice(600) }, { incidents }];
}

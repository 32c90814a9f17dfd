// "What if this host died now": asked of the manager's own deciding core, kept up to date while somebody looks,
// and shown as what would go where, what would have no place, and how long it took when it really happened.

import { h, duration, clock, plural } from "./dom.js";

const PAUSE_MS = 250;      // between two questions
const AGAIN_MS = 3000;     // for the same host
const LISTED = 12;

// Asks for one host after the other, only while the page is seen and only when something has changed.
export class Rehearsals {
  constructor(changed) {
    this.changed = changed;
    this.known = new Map();   // host → answer
    this.asked = new Map();   // host → { at, version }
    this.hosts = [];
    this.version = 0;
    this.running = false;
    document.addEventListener("visibilitychange", () => this.run());
  }

  follow(hosts) {
    this.hosts = hosts;
    this.version += 1;
    for (const host of [...this.known.keys()]) if (!hosts.includes(host)) this.known.delete(host);
    this.run();
  }

  next() {
    const now = performance.now();
    const due = this.hosts.filter((host) => { const last = this.asked.get(host); return !last || (last.version !== this.version && now - last.at >= AGAIN_MS); });
    return due.sort((a, b) => (this.asked.get(a)?.at ?? -1) - (this.asked.get(b)?.at ?? -1))[0];
  }

  async run() {
    if (this.running) return;
    this.running = true;
    for (let host = this.next(); host && !document.hidden; host = this.next()) {
      this.asked.set(host, { at: performance.now(), version: this.version });
      const answer = await fetch(`/api/v1/what-if?host=${encodeURIComponent(host)}`).catch(() => null);
      const json = answer?.ok ? await answer.json().catch(() => null) : null;
      if (json?.counts && JSON.stringify({ ...this.known.get(host), made_wall_ms: 0 }) !== JSON.stringify({ ...json, made_wall_ms: 0 })) {
        this.known.set(host, json);
        this.changed();
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    this.running = false;
  }
}

// One line: "3 would go on, about 1.2 s; 1 would have no place".
export function inShort({ counts, expected_us: expected }) {
  const parts = [];
  if (counts.moves) parts.push(`${counts.moves} would go on elsewhere${expected ? `, in about ${duration(expected)}` : ""}`);
  if (counts.without_place) parts.push(`${counts.without_place} would have no place`);
  if (counts.fewer_backups) parts.push(`${counts.fewer_backups} would lack a backup`);
  if (!parts.length) parts.push(counts.instances_lost ? "nobody would notice" : "nothing would happen");
  return parts.join("; ");
}

const ofWhom = ({ what, terminal }) => [h("strong", {}, what), ` of ${terminal}`];

function moveRow(move) {
  const details = [move.lost && move.lost !== "nothing" && !move.lost.startsWith("nothing:") ? `loses ${move.lost}` : "loses nothing", move.expected_us ? `about ${duration(move.expected_us)}` : ""];
  return h("li", {}, h("span", {}, ...ofWhom(move)), h("span", { class: "way" }, `${move.from || "nowhere"} → ${move.to_new_machine ? "a new machine" : move.to} on ${move.to_host}`), h("span", { class: "soft" }, details.filter(Boolean).join(", ")));
}

function limited(list, row) {
  const rows = list.slice(0, LISTED).map(row);
  if (list.length > LISTED) rows.push(h("li", { class: "soft" }, `and ${list.length - LISTED} more`));
  return rows;
}

// The whole answer; what has no place comes first.
export function rehearsalParts(answer) {
  const { counts } = answer;
  const part = (title, level, list, row) => (list.length ? [h("h3", { class: level }, title), h("ul", { class: "rehearsed" }, limited(list, row))] : null);
  const sums = [plural(counts.instances_lost, "instance") + " lost", `${counts.instances_made} made`, plural(counts.backups_renewed, "backup") + " set up anew"];
  return [
    h("p", { class: counts.without_place ? "result bad" : counts.fewer_backups ? "result warned" : "result good" }, `${inShort(answer).replace(/^./, (c) => c.toUpperCase())}.`),
    part("Without a place", "bad", answer.without_place, (lack) => h("li", {}, h("span", {}, ...ofWhom(lack)), h("span", { class: "soft" }, lack.reason))),
    part("Would go on", "", answer.moves, moveRow),
    part("With fewer backups", "warn", answer.fewer_backups, (thin) => h("li", {}, h("span", {}, ...ofWhom(thin)), h("span", { class: "soft" }, `${thin.backups} of ${thin.wanted}${thin.reason ? `: ${thin.reason}` : ""}`))),
    h("p", { class: "soft fine" }, `${sums.join(", ")}. Rehearsed by the deciding core itself at ${clock(answer.made_wall_ms)}; ${answer.measured_from ? `times are those of ${plural(answer.measured_from, "real incident")}` : "no incident has been measured yet, so no times"}.${answer.complete ? "" : " It was cut short: there is more than this."}`),
  ];
}

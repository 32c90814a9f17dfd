// Incidents: the list, and of the chosen one the whole story with its phases on a time axis.

import { h, duration, clock, plural } from "./dom.js";

const STAGE = { failed: "notice", suspected: "notice", detected: "notice", awaited: "notice", proven: "notice", decided: "decide",
  durable: "decide", commanded: "act", restored: "act", returned: "act", connected: "seen", shown: "seen", picture: "seen" };
const STAGE_TEXT = { notice: "notice and prove", decide: "decide and record", act: "command and restore", seen: "seen at the terminal" };

const ROW = 22;
const LABEL = 84;
const RIGHT = 66;
const TOP = 22;

// In units of the drawing: smaller on a small screen, where the drawing is made to fit and its letters
// would shrink with it.
export const axisWidth = () => (innerWidth <= 720 ? 350 : 470);

// Three to five round marks.
function ticksOf(endUs) {
  const raw = endUs / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= raw);
  const ticks = [];
  for (let at = 0; at <= endUs * 1.0001; at += step) ticks.push(at);
  return ticks;
}

// One row per phase; its bar reaches from the phase before to this one, so that the eye finds the
// longest step first.
export function timeAxis(phases) {
  const width = axisWidth();
  const end = Math.max(1, ...phases.map((phase) => phase.at_us));
  const scale = (us) => LABEL + (width - LABEL - RIGHT) * (us / end);
  const height = TOP + phases.length * ROW + 4;
  const said = phases.map((phase) => `${phase.name} at ${duration(phase.at_us)}`).join(", ");
  const svg = h("svg", { class: "axis", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Phases: ${said}` });
  for (const tick of ticksOf(end)) {
    svg.append(h("line", { class: "grid", x1: scale(tick), x2: scale(tick), y1: TOP - 4, y2: height }),
      h("text", { class: "tick", x: scale(tick), y: 11, "text-anchor": "middle" }, tick === 0 ? "0" : duration(tick)));
  }
  phases.forEach((phase, i) => {
    const y = TOP + i * ROW;
    const from = scale(i === 0 ? 0 : phases[i - 1].at_us);
    const to = scale(phase.at_us);
    const step = i === 0 ? 0 : phase.at_us - phases[i - 1].at_us;
    svg.append(h("g", { class: `phase ${STAGE[phase.name] ?? "act"}` },
      h("title", {}, `${phase.name}: ${duration(phase.at_us)} after the start, ${duration(step)} after the phase before`),
      h("text", { class: "label", x: LABEL - 8, y: y + 15, "text-anchor": "end" }, phase.name),
      h("rect", { class: "bar", x: from, y: y + 6, width: Math.max(2.5, to - from), height: 10, rx: 2.5 }),
      h("circle", { cx: to, cy: y + 11, r: 4 }),
      h("text", { class: "at", x: to + 9, y: y + 15 }, phase.at_us === 0 ? "0" : duration(phase.at_us))));
  });
  return svg;
}

// The longest step, by name: where the time went.
function longestStep(phases = []) {
  let longest = null;
  phases.forEach((phase, i) => {
    const step = i === 0 ? 0 : phase.at_us - phases[i - 1].at_us;
    if (step > (longest?.step ?? 0)) longest = { name: phase.name, step };
  });
  return longest;
}

// The usual time of the same kind, among those that ended with a picture.
function usual(incident, incidents) {
  const times = incidents.filter((other) => other !== incident && other.kind === incident.kind && !other.open && other.phases?.at(-1)?.name === "picture")
    .map((other) => other.phases.at(-1).at_us).sort((a, b) => a - b);
  return times.length ? { us: times[Math.floor(times.length / 2)], of: times.length } : null;
}

// A long list of hosts that were weighed is folded; what was chosen stays in sight.
function weighed(alternatives) {
  const row = (text) => h("li", { class: text.includes(": chosen") || text.includes("chosen,") ? "chosen" : "" }, text);
  const list = h("ul", { class: "weighed" }, alternatives.slice(0, 6).map(row));
  return alternatives.length <= 6 ? list : [list, h("details", {}, h("summary", {}, `${alternatives.length - 6} more`), h("ul", { class: "weighed" }, alternatives.slice(6).map(row)))];
}

function story(incident, incidents) {
  const last = incident.phases?.at(-1);
  const longest = longestStep(incident.phases);
  const typical = usual(incident, incidents);
  const rows = [["Evidence", incident.evidence], ["Proof", incident.proof], ["Decision", incident.decision]].filter(([, text]) => text);
  const stages = [...new Set((incident.phases ?? []).map((phase) => STAGE[phase.name] ?? "act"))];
  return h("div", { class: "story" },
    h("h3", {}, incident.title, " ", h("span", { class: `badge ${incident.open ? "bad" : ""}` }, incident.open ? "open" : "over")),
    h("p", { class: "soft fine" }, `Incident ${incident.id}, ${incident.kind}, ${clock(incident.opened_wall_ms)}`),
    h("div", { class: "sums" },
      h("div", {}, h("b", {}, last ? duration(last.at_us) : "–"), h("span", { class: "soft" }, last ? `until ${last.name}` : "no phase yet"),
        typical && h("span", { class: "soft" }, `usually ${duration(typical.us)} (${plural(typical.of, "other")})`)),
      longest && h("div", {}, h("b", {}, duration(longest.step)), h("span", { class: "soft" }, `longest step: ${longest.name}`)),
      h("div", { class: "lost" }, h("b", {}, incident.lost || "–"), h("span", { class: "soft" }, "lost"))),
    incident.phases?.length ? timeAxis(incident.phases) : null,
    h("ul", { class: "legend stages" }, stages.map((stage) => h("li", {}, h("i", { class: `stage ${stage}` }), STAGE_TEXT[stage]))),
    h("dl", { class: "facts" }, rows.map(([label, text]) => [h("dt", {}, label), h("dd", {}, text)]),
      incident.alternatives?.length ? [h("dt", {}, "Weighed"), h("dd", {}, weighed(incident.alternatives))] : null));
}

export function incidentParts(view, chosen, choose) {
  const incidents = view.incidents ?? [];
  if (!incidents.length) return h("p", { class: "soft none" }, "No incidents. Nothing has failed, and nothing was moved.");
  const shown = incidents.find((incident) => incident.id === chosen) ?? incidents[0];
  const item = (incident) => h("li", {}, h("button", {
    type: "button", class: "incident", "data-key": `incident-${incident.id}`, "aria-current": incident === shown ? "true" : null, onclick: () => choose(incident.id),
  },
    h("span", { class: `dot ${incident.open ? "open" : ""}` }, h("span", { class: "hidden" }, incident.open ? "open" : "over")),
    h("span", { class: "words" }, incident.title),
    h("span", { class: "soft when" }, clock(incident.opened_wall_ms), incident.phases?.length ? h("b", {}, duration(incident.phases.at(-1).at_us)) : null)));
  return [h("ul", { class: "list", "data-scroll": true }, incidents.map(item)), story(shown, incidents)];
}

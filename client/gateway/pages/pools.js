// Pools of instances: how many are kept ready, and whether creating them works.

import { h, duration, memory } from "./dom.js";
import { acts, confirmAct } from "./acts.js";

const PARTS = [["serving", "serving"], ["idle", "idle"], ["standing", "standing still"], ["creating", "being created"]];

// Given up, and nobody can say whether they still exist.
const lost = (pool) => (pool.beyond_reach ? `, ${pool.beyond_reach} given up on hosts that do not answer (not counted)` : "");

// Why as many are kept ready as are, and where the next one would be made.
function reasons(pool) {
  if (!pool.target) return null;
  const standing = pool.target.paused ? ` and ${pool.target.paused} standing still` : "";
  const still = pool.standing_reason ? `; none is made to stand still: ${pool.standing_reason}` : "";
  const hosts = (pool.hosts ?? []).map((host) => `${host.host} (${host.verdict})`).join(", ");
  return h("p", { class: "soft" }, `Filled up to ${pool.target.idle} idle${standing}: ${pool.target.why}${still}${hosts ? `. The next one: ${hosts}` : ""}`);
}

export function poolCards(view) {
  if (!view.pools.length) return h("p", { class: "soft" }, "No pools. Enter flavours in the manager's configuration.");
  return view.pools.map((pool) => {
    const cells = [];
    for (const [key] of PARTS) for (let i = 0; i < Math.min(pool[key] ?? 0, 60); i += 1) cells.push(h("i", { class: key }));
    while (cells.length < Math.min(pool.max_total, 60)) cells.push(h("i", {}));
    return h("article", { class: "card pool", "aria-label": `Pool ${pool.flavour}` },
      h("header", {}, h("h3", {}, pool.flavour), h("span", { class: "soft" }, `${pool.vcpus} CPU, ${memory(pool.memory_mib)}, image ${pool.image}`),
        pool.paused && h("span", { class: "badge bad" }, "paused"),
        h("span", { class: "deeds" }, h("button", { class: "small", type: "button", "data-key": `pool-${pool.flavour}`, "aria-label": `Resize pool ${pool.flavour}`, onclick: () => confirmAct(acts.pool(pool)) }, "Resize"))),
      h("div", { class: "cells", role: "img", "aria-label": `${pool.total - (pool.beyond_reach ?? 0)} of at most ${pool.max_total}` }, cells),
      h("p", { class: "soft" }, PARTS.map(([key, text]) => `${pool[key] ?? 0} ${text}`).join(", "), lost(pool), `; ${pool.min_idle} to ${pool.max_idle} kept idle, at most ${pool.max_total}${pool.making_ms ? `; making one takes about ${duration(pool.making_ms * 1000)}` : ""}`),
      pool.reason ? h("p", { class: "note" }, pool.reason) : null,
      reasons(pool));
  });
}

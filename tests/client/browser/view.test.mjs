// Claims about how the console's page puts a view together from what the gateway tells.
import assert from "node:assert/strict";
import { test } from "node:test";
import { changedView, wholeView } from "../../../client/gateway/pages/view.js";

test("parts become one view, and lists go on", () => {
  assert.deepEqual(wholeView({ view: { manager: 1, nodes: [{ id: 1 }] }, more: [{ nodes: [{ id: 2 }], sessions: [{ id: 3 }] }] }),
    { manager: 1, nodes: [{ id: 1 }, { id: 2 }], sessions: [{ id: 3 }] });
  assert.deepEqual(wholeView({ view: { nodes: [] } }), { nodes: [] });
});

test("rows come, go, move and change; what did not change is the same object", () => {
  const before = { manager: { at: 1 }, figures: {}, nodes: [{ id: 1, a: 1, b: 1 }, { id: 2, a: 1 }, { id: 3, a: 1 }], pools: [{ flavour: "small", idle: 1 }], hosts: [{ id: 9 }] };
  const after = changedView(before, { set: { manager: { at: 2 } }, rows: { nodes: { order: [4, 3, 1], new: [{ id: 4, a: 1 }], changed: [{ id: 1, a: 2 }] }, pools: { changed: [{ flavour: "small", idle: 0 }] } } });
  assert.deepEqual(after, { manager: { at: 2 }, figures: {}, nodes: [{ id: 4, a: 1 }, { id: 3, a: 1 }, { id: 1, a: 2, b: 1 }], pools: [{ flavour: "small", idle: 0 }], hosts: [{ id: 9 }] });
  assert.equal(after.nodes[1], before.nodes[2]);
  assert.equal(after.hosts, before.hosts);
  assert.deepEqual(changedView(before, {}), before);
});

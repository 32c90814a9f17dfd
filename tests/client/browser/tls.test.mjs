// Claims about the pages over TLS, as they are used from other machines.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Door } from "./door.mjs";
import { Scene } from "./scene.mjs";

let scene;
before(async () => { scene = await Scene.open({ tls: true }); });
after(async () => { Door.closeAll(); await scene?.close(); });

test("over TLS a log-in leads to a live picture, with a cookie for this host and TLS alone", async () => {
  assert.match(scene.address, /^https:/);
  const door = await Door.open([200, 30, 40]);
  scene.manager.say(`redirect 1 ${door.where}`);
  const page = await scene.page("/terminal/desk");
  await page.waitForFunction(() => document.getElementById("stage").dataset.state === "live");
  const cookies = await page.cookies();
  assert.deepEqual(cookies.map(({ name, secure, httpOnly, sameSite, path }) => ({ name, secure, httpOnly, sameSite, path })),
    [{ name: "__Host-understudy", secure: true, httpOnly: true, sameSite: "Strict", path: "/" }]);
  await page.close();
  door.close();
});

test("over TLS the console acts in the name of whoever is logged in, and a log-out ends that", async () => {
  scene.view({ nodes: [], hosts: [] });
  const page = await scene.page("/console");
  const status = (method, target, body) => page.evaluate(async (how, where, what) =>
    (await fetch(where, { method: how, headers: { "X-Understudy-Request": "test" }, body: what })).status, method, target, body);
  assert.equal(await status("POST", "/api/v1/act", JSON.stringify({ verb: "drain", arguments: { node: 5, reason: "a test" } })), 200);
  await scene.manager.line(/^asked drain \[node=5\] \[reason=a test\] \[by=ada\]$/);
  assert.equal(await status("GET", "/api/v1/me"), 200);
  assert.equal(await status("POST", "/logout"), 200);
  assert.equal(await status("GET", "/api/v1/me"), 401);
  assert.deepEqual(scene.problems, []);
  await page.close();
});

// Claims about the console as an operator uses it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { Scene, until } from "./scene.mjs";

let scene;
const view = JSON.parse(readFileSync(new URL("../data/view.json", import.meta.url)));
before(async () => { scene = await Scene.open(); scene.view(view); scene.rehearsal(rehearsal); });
after(async () => { await scene?.close(); });

const rehearsal = JSON.parse(readFileSync(new URL("../data/rehearsal.json", import.meta.url)));
const text = (page, selector) => page.$eval(selector, (element) => element.textContent);

test("hosts, duties, protection and the newest incident are on the page", async () => {
  const page = await scene.page("/console");
  await page.waitForSelector(".host");
  assert.match(await text(page, "#map"), /us-9.*heartbeats are late/);
  assert.match(await text(page, "#terminals"), /Not protected by checkpoint: its checkpoint could not be restored/);
  assert.match(await text(page, ".story"), /at most 3.2 s/);
  assert.match(await text(page, "#problems"), /no second failure domain/);
  assert.equal(await page.$$eval(".axis .phase", (rows) => rows.length), 9);
  await page.locator('[data-key="incident-8"]').click();
  await page.waitForFunction(() => document.querySelector(".story h3").textContent.includes("us-14"));
  await page.close();
});

test("a change is shown as it comes, and the keyboard's focus stays", async () => {
  const page = await scene.page("/console");
  await page.waitForSelector('[data-key="node-13"]');
  await page.focus('[data-key="node-13"]');
  const changed = structuredClone(view);
  changed.nodes.find((node) => node.id === 13).health = "down";
  scene.view(changed);
  await page.waitForSelector('[data-key="node-13"].down');
  assert.equal(await page.evaluate(() => document.activeElement.dataset.key), "node-13");
  scene.view(view);
  await page.close();
});

test("the view is told whole at first and after a gap, else what changed in it", async () => {
  const page = await scene.page("/console");
  await page.waitForSelector('[data-key="node-13"]');
  const session = await page.createCDPSession();
  const told = [];
  session.on("Network.webSocketFrameReceived", ({ response }) => told.push(JSON.parse(response.payloadData)));
  await session.send("Network.enable");
  const changed = structuredClone(view);
  changed.nodes.find((node) => node.id === 13).health = "down";
  changed.nodes = changed.nodes.filter((node) => node.id !== 6);
  scene.view(changed);
  await page.waitForSelector('[data-key="node-13"].down');
  await page.waitForFunction(() => !document.querySelector('[data-key="node-6"]'));
  assert.deepEqual(told.at(-1).changes.rows.nodes, { order: changed.nodes.map((node) => node.id), changed: [{ id: 13, health: "down" }] });
  await scene.restartGateway();
  scene.view(view);
  await page.waitForSelector('[data-key="node-6"]');
  await page.waitForSelector('[data-key="node-13"]:not(.down)');
  assert.ok(told.some((push) => push.view?.nodes?.length === view.nodes.length), "whole again");
  await page.close();
});

test("a checkpoint that ages is told in its place, and the card is not made anew", async () => {
  const page = await scene.page("/console");
  await page.waitForSelector("[data-age]");
  const id = Number(await page.$eval("[data-age]", (place) => place.dataset.age));
  const age = `[data-age="${id}"]`;
  const before = await text(page, age);
  await page.$eval(age, (place) => { place.marked = true; });
  const later = structuredClone(view);
  for (const backup of later.sessions.find((session) => session.id === id).backups) if (backup.checkpoint) backup.checkpoint.age_ms += 4000;
  scene.view(later);
  await page.waitForFunction((selector, old) => document.querySelector(selector).textContent !== old, {}, age, before);
  assert.ok(await page.$eval(age, (place) => place.marked));
  scene.view(view);
  await page.close();
});

test("a host is switched off with a reason, where it has a fence agent; what is off says what to do", async () => {
  const page = await scene.page("/console");
  await page.waitForSelector('[data-key="fence-alpha"]');
  assert.equal(await page.$('[data-key="fence-beta"]'), null, "no fence agent");
  assert.equal(await page.$('[data-key="fence-gamma"]'), null, "off already");
  assert.match(await text(page, "#host-gamma header"), /off/);
  await page.locator('[data-key="fence-alpha"]').click();
  await page.waitForSelector("dialog[open] .preview .rehearsed");
  assert.match(await text(page, "dialog"), /Switch alpha off\?.*cuts the power.*no host has room/s);
  await page.type("#reason", "smoke");
  await page.keyboard.press("Enter");
  await page.waitForSelector("dialog .result.good");
  assert.match(await scene.manager.line(/^asked fence.*reason/), /\[host=alpha\] \[reason=smoke\]/);
  await page.keyboard.press("Enter");
  const failed = structuredClone(view);
  failed.hosts[0].fence = { state: "failing", error: "the plug is stuck" };
  scene.view(failed);
  await page.waitForFunction(() => /Host alpha could not be switched off.*the plug is stuck/.test(document.getElementById("problems").textContent));
  scene.view(view);
  await page.close();
});

test("a press ends on what it began on, whatever news comes meanwhile", async () => {
  const page = await scene.page("/console");
  await page.locator('[data-key="fence-alpha"]').hover();
  const wire = await page.createCDPSession();
  await wire.send("Network.enable");
  const came = new Promise((resolve) => { wire.once("Network.webSocketFrameReceived", resolve); });
  await page.mouse.down();
  const button = await page.$('[data-key="fence-alpha"]');  // the one that is pressed: earlier ones may be gone
  const failed = structuredClone(view);
  failed.hosts[0].fence = { state: "failing", error: "the plug is stuck" };
  scene.view(failed);
  await came;
  await page.evaluate(() => new Promise((drawn) => { requestAnimationFrame(() => requestAnimationFrame(drawn)); }));
  assert.ok(await button.evaluate((pressed) => pressed.isConnected), "it is not made anew under the pointer");
  await page.mouse.up();
  await page.waitForSelector("dialog[open]");
  await page.waitForFunction(() => /the plug is stuck/.test(document.getElementById("problems").textContent));
  assert.ok(!await button.evaluate((pressed) => pressed.isConnected), "afterwards the news is shown");
  scene.view(view);
  await page.close();
});

test("an act asks for a reason, is sent with it, and shows what the manager said", async () => {
  const page = await scene.page("/console");
  await page.waitForSelector('[data-key="over-2"]');
  await page.focus('[data-key="over-2"]');
  await page.keyboard.press("Enter");
  await page.waitForSelector("dialog[open] #reason");
  await page.keyboard.press("Enter");
  assert.ok(await page.$("dialog[open] #reason"), "nothing is sent without a reason");
  await page.keyboard.type("balance before the weekend");
  await page.keyboard.press("Enter");
  await page.waitForSelector("dialog .result.good");
  assert.match(await text(page, "dialog"), /Done: failover/);
  const asked = await scene.manager.line(/^asked failover.*reason/);
  assert.match(asked, /\[session=2\]/);
  assert.match(asked, /\[reason=balance before the weekend\]/);
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => !document.querySelector("dialog[open]"));
  await page.close();
});

test("what is wrong comes first, worst first, and leads to its place", async () => {
  const page = await scene.page("/console");
  await page.waitForSelector(".problem-row");
  const levels = await page.$$eval(".problem-row", (rows) => rows.map((row) => ["bad", "warn", "info"].findIndex((level) => row.classList.contains(level))));
  assert.deepEqual(levels, [...levels].sort());
  assert.equal(levels[0], 0);
  assert.match(await page.title(), /^\(\d+\) Console/);
  const go = await page.$(".problem-row.bad [data-key^='go-waiting'], .problem-row.bad [data-key^='go-stopped'], .problem-row.bad [data-key^='go-']");
  await go.click();
  assert.ok(await page.evaluate(() => document.activeElement.closest(".terminal, .host, .incidents, body")), "the keyboard is there, too");
  await page.close();
});

test("what if a host died: on every host, in full when asked, and before an act", async () => {
  const page = await scene.page("/console");
  await page.waitForSelector('[data-key="what-if-alpha"]');
  assert.match(await text(page, '[data-key="what-if-alpha"]'), /3 would go on elsewhere, in about 1.2 s; 1 would have no place/);
  await page.locator('[data-key="what-if-alpha"]').click();
  await page.waitForSelector("dialog[open] .rehearsed");
  assert.match(await text(page, "dialog"), /Ledger of reading-room.*no host has room.*us-6 → us-12 on gamma.*a new machine on beta.*4 real incidents/s);
  await page.keyboard.press("Escape");
  await page.focus('[data-key="over-2"]');
  await page.keyboard.press("Enter");
  await page.waitForSelector("dialog[open] .preview .rehearsed");
  assert.match(await scene.manager.line(/^asked failover.*dry-run=yes/), /\[session=2\]/);
  await page.keyboard.press("Escape");
  await page.close();
});

test("a pool is resized and a message is sent from the page", async () => {
  const page = await scene.page("/console");
  await page.waitForSelector('[data-key="pool-small"]');
  await page.locator('[data-key="pool-small"]').click();
  await page.waitForSelector("dialog[open] #field-min_idle");
  await page.$eval("#field-min_idle", (input) => { input.value = "3"; });
  await page.type("#reason", "exams next week");
  await page.keyboard.press("Enter");
  await page.waitForSelector("dialog .result.good");
  assert.match(await scene.manager.line(/^asked pool.*reason/), /\[min_idle=3\]/);
  await page.keyboard.press("Enter");
  await page.locator("#tell").click();
  await page.waitForSelector("dialog[open] #field-text");
  await page.type("#field-text", "The printer is back.");
  await page.type("#reason", "people asked");
  await page.keyboard.press("Enter");
  await page.waitForSelector("dialog .result.good");
  assert.match(await scene.manager.line(/^asked message/), /\[text=The printer is back\.\]/);
  await page.close();
});

test("what is looked for is found by name, with the keyboard alone", async () => {
  const page = await scene.page("/console");
  await page.waitForSelector(".host");
  await page.keyboard.press("/");
  await page.keyboard.type("us-9");
  await page.waitForFunction(() => document.querySelectorAll(".node").length === 1);
  assert.match(await text(page, ".node"), /us-9/);
  await page.close();
});

test("whoever may only look sees what an act would do, and cannot do it", async () => {
  const page = await scene.page("/console", { name: "oscar" });
  await page.waitForSelector('[data-key="over-2"]');
  await page.waitForFunction(() => document.body.classList.contains("observer"));
  await page.locator('[data-key="over-2"]').click();
  await page.waitForSelector("dialog[open] .preview .rehearsed");
  assert.match(await text(page, "dialog"), /You may look and not act/);
  assert.ok(await page.$eval("dialog button.main, dialog button.risky", (button) => button.disabled));
  await page.close();
});

test("a log-in that has run out is told, and what was known stays", async () => {
  const page = await scene.page("/console");
  await page.waitForSelector('[data-key="over-2"]');
  await page.deleteCookie(...(await page.cookies()));
  await page.locator('[data-key="over-2"]').click();
  await page.waitForSelector("dialog[open] #reason");
  await page.type("#reason", "x");
  await page.keyboard.press("Enter");
  await page.waitForSelector("dialog .result.bad");
  assert.match(await text(page, "dialog"), /log-in has run out. Nothing was done/);
  assert.match(await page.$eval("dialog a.button", (link) => link.getAttribute("href")), /^\/login\?next=/);
  assert.ok(await page.$(".host"));
  await page.close();
});

test("a browser that slept for an hour connects afresh by itself, and says so if its log-in has run out meanwhile", async () => {
  const page = await scene.page("/console");
  await page.waitForSelector('[data-key="over-2"]');
  const session = await page.createCDPSession();
  let opened = 0;
  session.on("Network.webSocketCreated", () => { opened += 1; });
  await session.send("Network.enable");
  const sleep = () => page.evaluate(() => { const now = Date.now; Date.now = () => now() + 3600e3; });
  await sleep();
  await until(() => opened === 1, "a connection of its own accord", 15000);
  await page.waitForFunction(() => document.getElementById("link").dataset.state === "live");
  await page.deleteCookie(...(await page.cookies()));
  await sleep();
  await page.waitForFunction(() => document.getElementById("link").dataset.state === "expired", { timeout: 15000 });
  assert.match(await text(page, "#away"), /log-in has run out.*Log in again/);
  await page.close();
});

test("while the manager is away the last view stays and says since when", async () => {
  const page = await scene.page("/console");
  await page.waitForSelector(".host");
  scene.manager.say("vanish");
  await page.waitForFunction(() => /manager is away since/.test(document.getElementById("away").textContent));
  assert.ok(await page.$(".host"));
  scene.manager.say("resume");
  await page.waitForFunction(() => document.getElementById("link").dataset.state === "live");
  await page.close();
});

test("names are text, whatever they contain", async () => {
  const evil = structuredClone(view);
  evil.terminals[0].name = "<img src=x onerror=alert(1)>";
  evil.incidents[0].title = "<script>alert(2)</script>";
  const page = await scene.page("/console");
  scene.view(evil);
  await page.waitForFunction(() => document.querySelector(".story h3")?.textContent.includes("<script>"));
  assert.equal(await page.$("main img"), null);
  scene.view(view);
  await page.close();
});

test("nothing is cut off sideways, from a phone to a wide screen", async () => {
  for (const width of [360, 390, 768, 1024, 1280, 1920]) {
    const page = await scene.page("/console", { width, height: 720 });
    await page.waitForSelector(".host");
    const excess = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(excess <= 0, `at ${width} pixels the page is ${excess} too wide`);
    await page.close();
  }
});

test("an empty system is explained, and no script failed on the way", async () => {
  const page = await scene.page("/console");
  scene.view({ manager: { version: "0.1.0", incarnation: 1, store: "ok" }, hosts: [], nodes: [], terminals: [], sessions: [], pools: [], incidents: [] });
  await page.waitForFunction(() => /No hosts/.test(document.getElementById("map").textContent));
  assert.match(await text(page, "#incidents"), /No incidents/);
  await page.close();
  assert.deepEqual(scene.problems, []);
});

// Claims about how the console looks and what it costs: nothing serious for axe-core in light and dark, on a wide
// screen and on a phone; a large site shows what is wrong first and keeps the page responsive. Leaves pictures.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { inParts, largeView, laterView } from "./large.mjs";
import { Scene } from "./scene.mjs";

const LIMIT_MS = 100;   // for one update, of the page's main thread

let scene;
const view = JSON.parse(readFileSync(new URL("../data/view.json", import.meta.url)));
const rehearsal = JSON.parse(readFileSync(new URL("../data/rehearsal.json", import.meta.url)));
before(async () => { scene = await Scene.open(); scene.view(view); scene.rehearsal(rehearsal); });
after(async () => { await scene?.close(); });

for (const scheme of ["light", "dark"]) {
  for (const [name, width, height] of [["wide", 1280, 720], ["phone", 390, 844]]) {
    test(`nothing serious for axe-core: ${scheme}, ${name}`, async () => {
      const page = await scene.page("/console", { width, height, scheme });
      await page.waitForSelector('[data-key="what-if-alpha"]');
      await scene.picture(page, `console-${name}-${scheme}`);
      await scene.picture(page, `console-${name}-${scheme}-whole`, { fullPage: true });
      assert.deepEqual(await scene.findings(page), []);
      await page.click('[data-key="what-if-alpha"]');
      await page.waitForSelector("dialog[open] .rehearsed");
      assert.deepEqual(await scene.findings(page), []);
      await scene.picture(page, `what-if-${name}-${scheme}`);
      await page.keyboard.press("Escape");
      await page.waitForSelector("dialog[open]", { hidden: true });
      await page.$eval('[data-key="over-2"]', (button) => button.click());
      await page.waitForSelector("dialog[open] .rehearsed");
      assert.deepEqual(await scene.findings(page), []);
      await scene.picture(page, `act-${name}-${scheme}`);
      await page.close();
    });
  }
}

test("the flight recorder, as a picture", async () => {
  const page = await scene.page("/console", { width: 1280, height: 1000 });
  await page.waitForSelector(".story .axis");
  await scene.picture(await page.$(".incidents"), "flight-recorder");
  await page.close();
});

test("login and start page have nothing serious either", async () => {
  const page = await scene.page("/login", { login: false });
  assert.deepEqual(await scene.findings(page), []);
  await page.close();
  const home = await scene.page("/");
  await home.waitForSelector(".tile");
  assert.deepEqual(await scene.findings(home), []);
  await home.close();
});

test("1,000 nodes and 500 terminals: every update is shown within 100 ms, and what is wrong comes first", async () => {
  const site = largeView();
  scene.parts(inParts(site));
  const page = await scene.page("/console");
  await page.waitForFunction(() => /of 1000/.test(document.getElementById("figures").textContent), { timeout: 30000 });
  // Collected by the page itself: its own work for each update, and whatever else blocked it for long.
  await page.evaluate(() => {
    globalThis.updates = [];
    globalThis.long = [];
    new PerformanceObserver((list) => globalThis.updates.push(...list.getEntries().map((entry) => entry.duration))).observe({ type: "measure" });
    new PerformanceObserver((list) => globalThis.long.push(...list.getEntries().map((entry) => entry.duration))).observe({ type: "longtask" });
  });
  const before = await page.metrics();
  const rounds = 12;
  for (let step = 1; step <= rounds; step += 1) {
    scene.parts(inParts(laterView(site, step)));
    await page.waitForFunction((least) => globalThis.updates.length >= least, { timeout: 30000 }, step);
  }
  const metrics = await page.metrics();
  const updates = await page.evaluate(() => globalThis.updates.toSorted((a, b) => a - b));
  const long = await page.evaluate(() => globalThis.long);
  const busy = 1000 * (metrics.TaskDuration - before.TaskDuration) / rounds;
  const shown = (value) => value.toFixed(1);
  console.log(`large site: per update ${shown(updates[Math.floor(updates.length / 2)])} ms median, ${shown(updates.at(-1))} ms longest of ${updates.length} in the page's own code; `
    + `${shown(busy)} ms of main thread per update, parsing and layout included; ${long.length} tasks above 50 ms, longest ${shown(Math.max(0, ...long))} ms`);
  assert.ok(updates[Math.floor(updates.length / 2)] < LIMIT_MS, `an update took ${shown(updates[Math.floor(updates.length / 2)])} ms`);

  scene.parts(inParts(largeView({ broken: true })));
  await page.waitForFunction(() => document.getElementById("wrong").dataset.level === "bad", { timeout: 30000 });
  const first = await page.$eval(".problem-row", (row) => row.textContent);
  assert.match(first, /Terminal desk-123 is not served/);
  assert.match(await page.$eval("#map .host", (card) => card.getAttribute("aria-label")), /host-37/);
  assert.match(await page.$eval("#terminals .terminal", (card) => card.getAttribute("aria-label")), /desk-123/);
  await scene.picture(page, "console-large-broken");
  await page.close();
  assert.deepEqual(scene.problems, []);
});

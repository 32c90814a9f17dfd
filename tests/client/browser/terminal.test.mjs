// Claims about the web terminal as the person in front of it sees it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Door } from "./door.mjs";
import { Scene, until } from "./scene.mjs";

let scene;
before(async () => { scene = await Scene.open(); });
after(async () => { Door.closeAll(); await scene?.close(); });

// Each test has a terminal of its own, so that epochs start afresh.
const stage = (page) => page.$eval("#stage", ({ dataset }) => ({ ...dataset }));
const live = (page, epoch) => page.waitForFunction((wanted) => {
  const { dataset } = document.getElementById("stage");
  return dataset.state === "live" && dataset.epoch === wanted;
}, { polling: 10, timeout: 10000 }, String(epoch));

// Colour at the middle of what is visible there: the held picture while there is one, else the live one.
const colour = (page) => page.evaluate(() => {
  const held = document.getElementById("stage").dataset.state === "held";
  const canvas = held ? document.getElementById("last") : document.querySelector("#screen canvas");
  return [...canvas.getContext("2d").getImageData(canvas.width >> 1, canvas.height >> 1, 1, 1).data.slice(0, 3)];
});

async function opened(name, epoch, door) {
  scene.manager.say(`redirect ${epoch} ${door.where}`);
  const page = await scene.page(`/terminal/${name}`);
  await live(page, epoch);
  return page;
}

test("without a log-in there is a form for it, and after it the terminal", async () => {
  const door = await Door.open([200, 30, 40]);
  scene.manager.say(`redirect 1 ${door.where}`);
  const page = await scene.page("/terminal/login", { login: false });
  await scene.logIn(page);
  await live(page, 1);
  assert.deepEqual(await colour(page), [200, 30, 40]);
  await scene.manager.line(/^seen picture epoch 1 incident 1/);
  await page.close();
  door.close();
});

test("a move keeps the last picture, dimmed and explained, until the new one is there", async () => {
  const from = await Door.open([10, 120, 60]);
  const to = await Door.open([90, 60, 200]);
  to.withheld = true;
  const page = await opened("move", 1, from);
  scene.manager.say(`redirect 2 ${to.where}`);
  await until(() => to.greetings.length === 1, "the new door is asked");
  await page.waitForFunction(() => document.getElementById("line").textContent === "Your desktop is moving to another machine…");
  assert.equal((await stage(page)).state, "held");
  assert.deepEqual(await colour(page), [10, 120, 60]);
  await page.waitForFunction(() => getComputedStyle(document.getElementById("last")).filter.includes("brightness(0.6)"));
  to.paint();
  await live(page, 2);
  assert.deepEqual(await colour(page), [90, 60, 200]);
  await page.waitForFunction(() => getComputedStyle(document.getElementById("last")).visibility === "hidden");
  assert.equal(await page.$eval("#line", (line) => line.textContent), "");
  await page.close();
  from.close();
  to.close();
});

test("an older redirect is not followed", async () => {
  const old = await Door.open([1, 2, 3]);
  const door = await Door.open([50, 60, 70]);
  const page = await opened("stale", 5, door);
  scene.manager.say(`redirect 4 ${old.where}`);
  scene.manager.say(`redirect 6 ${door.where}`);
  await live(page, 6);
  assert.equal(old.greetings.length, 0);
  await page.close();
  old.close();
  door.close();
});

test("a door that breaks without a word is connected again, and keys reach it", async () => {
  const door = await Door.open([30, 30, 90]);
  const page = await opened("broken", 1, door);
  door.cut();
  await until(() => door.greetings.length === 2, "the door is asked again");
  await live(page, 1);
  await page.keyboard.type("hi");
  await until(() => door.keys.length === 2, "two keys arrive");
  assert.deepEqual(door.keys, [..."hi"].map((letter) => letter.charCodeAt(0)));
  await page.close();
  door.close();
});

test("the death of the manager cuts nobody's picture", async () => {
  const door = await Door.open([120, 120, 20]);
  const page = await opened("alone", 1, door);
  scene.manager.say("vanish");
  await scene.gateway.line(/no connection to the manager/);
  door.keys.length = 0;
  await page.keyboard.type("x");
  await until(() => door.keys.length === 1, "a key arrives without a manager");
  assert.equal((await stage(page)).state, "live");
  scene.manager.say("resume");
  await page.close();
  door.close();
});

test("a terminal opened at a second place is left at the first, told so there, and comes back at Enter", async () => {
  const door = await Door.open([20, 90, 110]);
  const first = await opened("twice", 1, door);
  scene.manager.say("taken twice");
  await first.waitForFunction(() => document.getElementById("line").textContent.includes("open at another place now. Press Enter"));
  assert.equal((await stage(first)).state, "held");
  await until(() => door.guests.size === 0, "the stream ends");
  await first.waitForFunction(() => getComputedStyle(document.getElementById("line")).opacity === "1");
  await scene.picture(first, "terminal-elsewhere");
  await first.keyboard.press("Enter");
  await live(first, 1);
  assert.ok(!door.keys.includes(0xff0d), "that Enter is not for the desktop");
  await first.close();
  door.close();
});

test("each tab is a place of its own for the manager, and stays it when it is loaded again", async () => {
  const door = await Door.open([20, 90, 110]);
  const attached = () => scene.manager.lines.filter((line) => line === "attached places").length;
  const page = await opened("places", 1, door);
  const before = attached();
  await page.reload();
  await live(page, 1);
  assert.equal(attached(), before, "the same place again");
  const other = await scene.page("/terminal/places");
  await live(other, 1);
  assert.ok(attached() > before, "another place");
  await page.close();
  await other.close();
  door.close();
});

test("an administrator's message is a line over the live picture, and goes when somebody has been there", async () => {
  const door = await Door.open([60, 70, 80]);
  const page = await opened("notice", 1, door);
  scene.manager.say("notice Maintenance at noon: save your work.");
  await page.waitForFunction(() => document.getElementById("notice").textContent === "Maintenance at noon: save your work.");
  await scene.picture(page, "terminal-notice");
  await page.keyboard.type("a");
  assert.notEqual(await page.$eval("#notice", (line) => line.textContent), "", "too soon to have been read");
  await page.evaluate(() => { const { now } = performance; performance.now = () => now.call(performance) + 9000; });
  await page.keyboard.type("b");
  assert.equal(await page.$eval("#notice", (line) => line.textContent), "");
  assert.equal((await stage(page)).state, "live");
  await page.close();
  door.close();
});

test("by keyboard alone the controls are reached and left, and no key stays down on the desktop", async () => {
  const door = await Door.open([60, 40, 80]);
  const page = await opened("keyboard", 1, door);
  for (const key of ["Control", "Alt", "Shift"]) await page.keyboard.down(key);
  await page.keyboard.press("KeyB");
  for (const key of ["Shift", "Alt", "Control"]) await page.keyboard.up(key);
  const focused = () => page.evaluate(() => document.activeElement.id);
  assert.equal(await focused(), "full");
  await page.keyboard.press("Tab");
  assert.equal(await focused(), "clip");
  await page.keyboard.press("Enter");
  assert.equal(await focused(), "clip-text");
  await scene.picture(page, "terminal-clipboard");
  assert.deepEqual(await scene.findings(page), []);
  await page.keyboard.press("Escape");
  await until(() => [0xffe3, 0xffe9, 0xffe1].every((keysym) => door.released.includes(keysym)), "modifiers are released");
  assert.ok(!door.keys.includes(0x42) && !door.keys.includes(0x62), "the combination is not typed");
  await page.keyboard.type("z");
  await until(() => door.keys.includes(0x7a), "keys go to the desktop again");
  await page.close();
  door.close();
});

test("where the browser allows it, what is copied on one side is pasted on the other without the panel", async () => {
  const door = await Door.open([60, 110, 80]);
  await scene.browser.defaultBrowserContext().overridePermissions(new URL(scene.address).origin, ["clipboard-read", "clipboard-sanitized-write"]);
  const page = await opened("clipboards", 1, door);
  await page.bringToFront();
  door.copy("from there: caf\u00e9");
  await page.waitForFunction(async () => await navigator.clipboard.readText() === "from there: caf\u00e9", { polling: 50 });
  await page.evaluate(async () => { await navigator.clipboard.writeText("from here: \u00fcber"); dispatchEvent(new Event("focus")); });
  await until(() => door.copied.includes("from here: \u00fcber"), "the desktop is told");
  assert.ok(!door.copied.includes("from there: caf\u00e9"), "its own text is not told back");
  await page.evaluate(() => document.getElementById("clip").click());
  assert.equal(await page.$eval("#clip-join", (button) => button.hidden), true, "nothing is left to allow");
  await scene.browser.defaultBrowserContext().clearPermissionOverrides();
  await page.close();
  door.close();
});

test("full screen is a button away and back", async () => {
  const door = await Door.open([60, 110, 20]);
  const page = await opened("full", 1, door);
  const full = () => page.evaluate(() => Boolean(document.fullscreenElement));
  await page.hover("#bar");
  await page.click("#full");
  await page.waitForFunction(() => document.fullscreenElement && document.getElementById("full").textContent === "Leave full screen");
  assert.equal((await stage(page)).state, "live");
  await page.$eval("#full", (button) => button.click());
  await page.waitForFunction(() => !document.fullscreenElement);
  assert.equal(await full(), false);
  await page.close();
  door.close();
});

test("a browser that slept for an hour connects afresh by itself", async () => {
  const door = await Door.open([10, 140, 140]);
  const page = await opened("slept", 1, door);
  const before = door.greetings.length;
  await page.evaluate(() => { const { now } = Date; Date.now = () => now() + 3600e3; });
  await until(() => door.greetings.length > before, "the door is asked again", 15000);
  await live(page, 1);
  await page.close();
  door.close();
});

test("an expired login leads to the login page, keeps the address, and back to the desktop", async () => {
  const door = await Door.open([150, 90, 10]);
  const page = await opened("expired", 1, door);
  scene.setPassword("ada", "another password of hers");
  await page.waitForSelector("input[name=password]", { timeout: 20000 });
  assert.equal(new URL(page.url()).pathname, "/terminal/expired");
  assert.deepEqual(await scene.findings(page), []);
  await scene.picture(page, "login");
  await scene.logIn(page, { password: "another password of hers" });
  await live(page, 1);
  scene.setPassword("ada", "a password for browser tests");
  await page.close();
  door.close();
});

test("on a phone, in light and in dark, the picture fits and nothing serious keeps anybody out", async () => {
  const door = await Door.open([30, 60, 120]);
  scene.manager.say(`redirect 1 ${door.where}`);
  for (const scheme of ["light", "dark"]) {
    const page = await scene.page("/terminal/phone", { width: 390, height: 844 });
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    await live(page, 1);
    const box = await page.$eval("#screen canvas", (canvas) => canvas.getBoundingClientRect().toJSON());
    assert.ok(box.width <= 390 && box.width > 380, `the picture is ${box.width} wide`);
    assert.deepEqual(await scene.findings(page), []);
    await scene.picture(page, `terminal-phone-${scheme}`);
    await page.close();
  }
  door.close();
});

test("waiting for a desktop is told in words, and nothing ever opened a dialog or broke the content policy", async () => {
  scene.manager.say("waiting no machine is free");
  const page = await scene.page("/terminal/patience");
  await page.waitForFunction(() => document.getElementById("line").textContent.includes("no machine is free"));
  await page.close();
  assert.deepEqual(scene.problems, []);
});

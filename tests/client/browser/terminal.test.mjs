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
  scene.manager.say(`redirect ${epoch} ${door.port}`);
  const page = await scene.page(`/terminal/${name}`);
  await live(page, epoch);
  return page;
}

test("without the key there is a login form, and with it the terminal", async () => {
  const door = await Door.open([200, 30, 40]);
  scene.manager.say(`redirect 1 ${door.port}`);
  const page = await scene.page("/terminal/login", { login: false });
  await page.type("input[name=key]", scene.key());
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
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
  scene.manager.say(`redirect 2 ${to.port}`);
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
  scene.manager.say(`redirect 4 ${old.port}`);
  scene.manager.say(`redirect 6 ${door.port}`);
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

test("waiting for a desktop is told in words, and nothing ever opened a dialog or broke the content policy", async () => {
  scene.manager.say("waiting no machine is free");
  const page = await scene.page("/terminal/patience");
  await page.waitForFunction(() => document.getElementById("line").textContent.includes("no machine is free"));
  await page.close();
  assert.deepEqual(scene.problems, []);
});

// A person's hand and eyes in Chromium, led by web.py: one JSON object per line in, one answer per line out.
// Needs UNDERSTUDY_MODULES, a folder with node_modules as tests/client/browser/run makes it.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import path from "node:path";

const needed = createRequire(path.join(process.env.UNDERSTUDY_MODULES, "package.json"));
const puppeteer = needed("puppeteer-core");
const axe = needed("axe-core");
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--disable-background-timer-throttling", "--disable-renderer-backgrounding"];

let browser = null;
const pages = {};
const problems = [];

// Errors while a machine is being replaced are part of the story: a WebSocket that broke is repaired, not a defect.
const repaired = /WebSocket connection|Failed when connecting|net::ERR_/;

const deeds = {
  // Logs in as a person does, by the form, and comes out where the address said.
  async open({ name, address, password, width, height }) {
    const page = await browser.newPage();
    pages[name] = page;
    await page.setViewport({ width, height });
    page.on("pageerror", (error) => problems.push(`${name}: ${error.message}`));
    page.on("dialog", (dialog) => { problems.push(`${name}: a dialog: ${dialog.message()}`); dialog.dismiss(); });
    page.on("console", (message) => {
      if (message.type() === "error" && !repaired.test(message.text()) && !/status of 401/.test(message.text())) problems.push(`${name}: ${message.text()}`);
    });
    await page.goto(address);
    const form = await page.$("input[name=password]");
    if (!form) return { asked: false };
    const found = await deeds.findings({ name });
    await page.type("input[name=name]", "ada");
    await form.type(password);
    await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
    return { asked: true, found: found.found };
  },
  async picture({ name, epoch, timeout_ms }) {
    await pages[name].waitForFunction((least) => {
      const { dataset } = document.getElementById("stage");
      return dataset.state === "live" && Number(dataset.epoch) >= least;
    }, { polling: 20, timeout: timeout_ms }, epoch);
  },
  async screenshot({ name, file }) { await pages[name].screenshot({ path: file }); },
  async move({ name, x, y }) { await pages[name].mouse.move(x, y); },
  async click({ name, x, y }) { await pages[name].mouse.click(x, y); },
  async type({ name, text }) {
    for (const letter of text) await pages[name].keyboard.press(letter === "\n" ? "Enter" : letter, { delay: 20 });
  },
  async front({ name }) { await pages[name].bringToFront(); },
  // In the console: a machine, "Kill instance", a reason, done.
  async kill({ name, node, reason }) {
    const page = pages[name];
    await page.bringToFront();
    await page.waitForSelector(`[data-key="node-${node}"]`, { timeout: 20000 });
    await page.$eval(`[data-key="node-${node}"]`, (button) => button.click());
    await page.waitForSelector("dialog[open]");
    await page.evaluate(() => [...document.querySelectorAll("dialog button")].find((button) => /kill/i.test(button.textContent)).click());
    await page.waitForSelector("dialog[open] #reason");
    await page.type("dialog[open] #reason", reason);
    await page.keyboard.press("Enter");
    await page.waitForSelector("dialog .result.good", { timeout: 20000 });
    const said = await page.$eval("dialog .result", (result) => result.textContent);
    await page.keyboard.press("Escape");
    return { said };
  },
  async findings({ name }) {
    await pages[name].evaluate(axe.source);
    const { violations } = await pages[name].evaluate(() => axe.run());
    return { found: violations.filter(({ impact }) => impact === "serious" || impact === "critical").map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`) };
  },
  async problems() { return { problems }; },
};

browser = await puppeteer.launch({ executablePath: "/usr/bin/chromium", headless: true, args: FLAGS, userDataDir: process.argv[2] });
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let answer = { ok: true };
  try { Object.assign(answer, await deeds[command.do](command)); } catch (error) { answer = { ok: false, reason: error.message }; }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();

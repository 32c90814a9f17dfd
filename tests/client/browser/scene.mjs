// What every browser test needs: a manager that is played, a gateway, and a browser that complains about
// errors and violations of the content policy.
import { execFileSync, spawn } from "node:child_process";
import { X509Certificate, createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import os from "node:os";
import path from "node:path";

const { UNDERSTUDY_BUILD: build, UNDERSTUDY_MODULES: modules } = process.env;
if (!build || !modules) throw new Error("start these tests with tests/client/browser/run BUILD-FOLDER");
const needed = createRequire(path.join(modules, "package.json"));
const puppeteer = needed("puppeteer-core");
const axe = needed("axe-core");
const PICTURES = path.join(build, "..", "browser");
const PASSWORD = "a password for browser tests";
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

// A child process whose lines can be waited for.
class Child {
  constructor(command, args) {
    this.process = spawn(command, args);
    this.lines = [];  // of its output and of its log
    this.waiting = [];
    for (const input of [this.process.stdout, this.process.stderr]) {
      createInterface({ input }).on("line", (line) => {
        this.lines.push(line);
        this.waiting = this.waiting.filter((look) => !look(line));
      });
    }
  }

  say(line) { this.process.stdin.write(`${line}\n`); }

  // The first line, past or to come, that matches.
  line(pattern, timeoutMs = 10000) {
    const past = this.lines.find((line) => pattern.test(line));
    if (past) return Promise.resolve(past);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no line like ${pattern} came; there were:\n${this.lines.join("\n")}`)), timeoutMs);
      this.waiting.push((line) => {
        if (!pattern.test(line)) return false;
        clearTimeout(timer);
        resolve(line);
        return true;
      });
    });
  }

  end() { this.process.kill("SIGTERM"); return new Promise((resolve) => { if (this.process.exitCode !== null) resolve(); else this.process.once("exit", resolve); }); }
}

export class Scene {
  static async open({ tls = false } = {}) {
    const scene = new Scene();
    scene.tls = tls;
    scene.folder = mkdtempSync(path.join(os.tmpdir(), "understudy-browser-"));
    scene.manager = new Child(path.join(build, "tests/client/fake-manager"), []);
    await scene.manager.line(/^# ready/);
    scene.link = scene.manager.lines.filter((line) => !line.startsWith("#")).join("\n");
    await scene.startGateway(0);
    scene.browser = await puppeteer.launch({ executablePath: "/usr/bin/chromium", headless: true, args: [...FLAGS, ...scene.trust()], userDataDir: path.join(scene.folder, "profile") });
    scene.problems = [];
    return scene;
  }

  // The browser takes the gateway's own certificate, and no other that it does not know.
  trust() {
    if (!this.tls) return [];
    const certificate = new X509Certificate(readFileSync(path.join(this.folder, "gateway-state/server.pem")));
    const key = certificate.publicKey.export({ type: "spki", format: "der" });
    return [`--ignore-certificate-errors-spki-list=${createHash("sha256").update(key).digest("base64")}`];
  }

  gatewayCommand(words, input = "") {
    return execFileSync(path.join(build, "client/gateway/understudy-gateway"), ["--config", path.join(this.folder, "gateway.toml"), ...words], { input, encoding: "utf8" });
  }

  // "ada" is an administrator, "oscar" an observer; both have the same password.
  async startGateway(port) {
    const configuration = path.join(this.folder, "gateway.toml");
    writeFileSync(configuration, `${this.link}\n[gateway]\ntls = "${this.tls ? "on" : "off"}"\nport = ${port}\n`);
    if (!existsSync(path.join(this.folder, "gateway-state/accounts"))) {
      this.gatewayCommand(["account", "add", "ada", "--role", "administrator"], `${PASSWORD}\n`);
      this.gatewayCommand(["account", "add", "oscar", "--role", "observer"], `${PASSWORD}\n`);
    }
    this.gateway = new Child(path.join(build, "client/gateway/understudy-gateway"), ["--config", configuration]);
    this.address = (await this.gateway.line(/^listening on/)).replace("listening on ", "");
  }

  // The gateway dies and comes back at the same address.
  async restartGateway() {
    const { port } = new URL(this.address);
    await this.gateway.end();
    await this.startGateway(Number(port));
  }

  setPassword(name, password) { this.gatewayCommand(["account", "passwd", name], `${password}\n`); }

  // As a person does it, on the page that asks for it.
  async logIn(page, { name = "ada", password = PASSWORD } = {}) {
    await page.waitForSelector("input[name=password]");
    await page.type("input[name=name]", name);
    await page.type("input[name=password]", password);
    await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
  }

  // Findings of axe-core that keep somebody from using the page.
  async findings(page) {
    await page.evaluate(axe.source);
    const { violations } = await page.evaluate(() => axe.run());
    return violations.filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
  }

  // Kept for people to look at: build/browser/NAME.png, and in the folder that UNDERSTUDY_PICTURES names.
  async picture(page, name, options = {}) {
    for (const folder of [PICTURES, process.env.UNDERSTUDY_PICTURES].filter(Boolean)) {
      mkdirSync(folder, { recursive: true });
      await page.screenshot({ path: path.join(folder, `${name}.png`), ...options });
    }
  }

  // A page that is logged in; errors of its scripts and policy violations are collected.
  async page(where, { width = 1280, height = 720, login = true, name = "ada", scheme = "light" } = {}) {
    const page = await this.browser.newPage();
    await page.setViewport({ width, height });
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    page.on("pageerror", (error) => this.problems.push(error.message));
    page.on("dialog", (dialog) => { this.problems.push(`a dialog: ${dialog.message()}`); dialog.dismiss(); });
    page.on("console", (message) => { if (/Content Security Policy|Uncaught/.test(message.text())) this.problems.push(message.text()); });
    if (login && this.loggedIn !== name) await page.deleteCookie({ name: "understudy", url: this.address });
    await page.goto(this.address + where.slice(1));
    if (login && await page.$("input[name=password]")) await this.logIn(page, { name });
    if (login) this.loggedIn = name;
    return page;
  }

  file(json) {
    const file = path.join(this.folder, `${Math.random()}.json`);
    writeFileSync(file, JSON.stringify(json));
    return file;
  }

  view(view) { this.manager.say(`view ${this.file(view)}`); }

  // A view in parts, as a large one comes.
  parts(parts) {
    this.number = (this.number ?? 0) + 1;
    this.manager.say(`view ${parts.map((part, i) => this.file({ view: this.number, part: i + 1, parts: parts.length, ...part })).join(" ")}`);
  }

  rehearsal(answer) { this.manager.say(`rehearsal ${this.file(answer)}`); }

  async close() {
    await this.browser?.close();
    await this.gateway?.end();
    await this.manager?.end();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

// Waits until a condition on this side holds.
export async function until(condition, what, timeoutMs = 10000) {
  const end = Date.now() + timeoutMs;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`did not happen: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

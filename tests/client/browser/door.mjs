// A node's door with a one-coloured desktop behind it, as a gateway sees it: TLS, a ticket, GO.
import { execFileSync } from "node:child_process";
import crypto from "node:crypto";
import tls from "node:tls";

const WIDTH = 320;
const HEIGHT = 200;
const MADE = execFileSync("openssl", ["req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", "-", "-out", "-", "-subj", "/CN=door",
  "-days", "2"], { stdio: ["ignore", "pipe", "ignore"] }).toString();
const KEY = crypto.createHash("sha256").update(crypto.createPublicKey(MADE.slice(MADE.indexOf("-----BEGIN CERT")))
  .export({ type: "spki", format: "der" })).digest("base64url");
const LENGTHS = { 0: 20, 3: 10, 4: 8, 5: 6 };  // messages of fixed length, by type

class Guest {
  constructor(door, socket) {
    Object.assign(this, { door, socket, bytes: Buffer.alloc(0), stage: "ticket", shifts: [16, 8, 0], owed: false });
    socket.on("data", (data) => { this.bytes = Buffer.concat([this.bytes, data]); while (this.step()); });
    socket.on("error", () => {});
    socket.on("close", () => door.guests.delete(this));
  }

  take(length) {
    if (this.bytes.length < length) return null;
    const part = this.bytes.subarray(0, length);
    this.bytes = this.bytes.subarray(length);
    return part;
  }

  step() {
    if (this.stage === "ticket") {
      const end = this.bytes.indexOf(10);
      if (end < 0) return false;
      this.door.greetings.push(this.take(end + 1).toString().trim());
      this.socket.write(`OK ${"r".repeat(43)}\n`);
      this.stage = "go";
      return true;
    }
    if (this.stage === "go") {
      const go = this.take(3);
      if (!go) return false;
      if (go.toString() !== "GO\n") throw new Error(`GO was expected, not ${go}`);
      this.socket.write("RFB 003.008\n");
      this.stage = "version";
      return true;
    }
    if (this.stage === "version") {
      if (!this.take(12)) return false;
      this.socket.write(Buffer.from([1, 1]));
      this.stage = "security";
      return true;
    }
    if (this.stage === "security") {
      if (!this.take(1)) return false;
      this.socket.write(Buffer.alloc(4));
      this.stage = "init";
      return true;
    }
    if (this.stage === "init") {
      if (!this.take(1)) return false;
      const init = Buffer.alloc(28);
      init.writeUInt16BE(WIDTH, 0);
      init.writeUInt16BE(HEIGHT, 2);
      init.set([32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0], 4);
      init.writeUInt32BE(4, 20);
      init.write("test", 24);
      this.socket.write(init);
      this.stage = "messages";
      return true;
    }
    return this.message();
  }

  message() {
    if (this.bytes.length < 8 && !(this.bytes[0] === 5 && this.bytes.length >= 6)) return false;
    const type = this.bytes[0];
    let length = LENGTHS[type];
    if (type === 2) length = 4 + 4 * this.bytes.readUInt16BE(2);
    if (type === 6) length = 8 + Math.abs(this.bytes.readInt32BE(4));
    if (length === undefined) throw new Error(`the page sent a message of type ${type}`);
    const message = this.take(length);
    if (!message) return false;
    if (type === 0) this.shifts = [message[14], message[15], message[16]];
    if (type === 6) this.door.copied.push(message.subarray(8).toString("latin1"));
    if (type === 3 && message[1] === 0) { this.owed = true; this.paint(); }
    if (type === 4) (message[1] === 1 ? this.door.keys : this.door.released).push(message.readUInt32BE(4));
    return true;
  }

  paint() {
    if (!this.owed || this.door.withheld) return;
    this.owed = false;
    const update = Buffer.alloc(16 + WIDTH * HEIGHT * 4);
    update.writeUInt16BE(1, 2);
    update.writeUInt16BE(WIDTH, 8);
    update.writeUInt16BE(HEIGHT, 10);
    // The unused byte is set because noVNC 1.3 does not always make raw pixels opaque itself.
    const pixel = 0xff000000 + this.door.colour.reduce((sum, part, i) => sum + part * 2 ** this.shifts[i], 0);
    for (let at = 16; at < update.length; at += 4) update.writeUInt32LE(pixel, at);
    this.socket.write(update);
  }
}

export class Door {
  static all = [];

  // So that a test that failed half-way leaves nothing open that keeps the run from ending.
  static closeAll() { for (const door of Door.all) door.close(); }

  // colour: [red, green, blue]
  static async open(colour) {
    const door = new Door();
    Door.all.push(door);
    Object.assign(door, { colour, withheld: false, greetings: [], keys: [], released: [], copied: [], guests: new Set() });
    door.server = tls.createServer({ key: MADE, cert: MADE, minVersion: "TLSv1.3" }, (socket) => door.guests.add(new Guest(door, socket)));
    await new Promise((resolve) => door.server.listen(0, "127.0.0.1", resolve));
    door.server.on("tlsClientError", () => {});
    door.port = door.server.address().port;
    door.where = `${door.port} ${KEY}`;
    return door;
  }

  paint() { this.withheld = false; for (const guest of this.guests) guest.paint(); }
  // The desktop's clipboard has new text; Latin-1, as old servers say it.
  copy(text) {
    const head = Buffer.alloc(8);
    head[0] = 3;
    head.writeUInt32BE(text.length, 4);
    for (const guest of this.guests) guest.socket.write(Buffer.concat([head, Buffer.from(text, "latin1")]));
  }
  cut() { for (const guest of this.guests) guest.socket.destroy(); }
  close() { this.cut(); this.server.close(); }
}

// Shows one terminal's desktop and hides how often the machine behind it changes: every connection is a
// new RFB object, and the last picture stays on top until the next connection has drawn one.

import RFB from "/novnc/core/rfb.js";

const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 1000;
const PICTURE_POLL_MS = 16;
const PARTIAL_LIMIT_MS = 2000;   // some of it is drawn: better shown than hidden any longer
const PICTURE_LIMIT_MS = 10000;  // connected, but nothing is drawn: start afresh

const sample = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
sample.canvas.width = 5;
sample.canvas.height = 1;

// How many of five points the server has drawn on the canvas: until then its pixels are transparent. Five,
// because a server may set the size first and draw afterwards; by way of a small canvas, because a
// browser makes a canvas slow that is often read.
function drawnPoints(canvas) {
  const { width, height } = canvas;
  if (width === 0 || height === 0) return 0;
  const points = [[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1], [width >> 1, height >> 1]];
  sample.clearRect(0, 0, 5, 1);
  points.forEach(([x, y], i) => sample.drawImage(canvas, x, y, 1, 1, i, 0, 1, 1));
  const { data } = sample.getImageData(0, 0, 5, 1);
  return points.filter((_, i) => data[i * 4 + 3] !== 0).length;
}

export class Desktop extends EventTarget {
  // Events: "picture" {epoch}, "held" {everPictured}, "clipboard" {text}.

  constructor({ screen, overlay, address }) {
    super();
    this.screen = screen;
    this.overlay = overlay;
    this.address = address;  // epoch → WebSocket URL
    this.epoch = 0;          // newest accepted
    this.everPictured = false;
    this.current = null;
    this.retryMs = FIRST_RETRY_MS;
    this.timer = null;
  }

  get live() { return Boolean(this.current?.pictured); }

  // A redirect. Anything older than what was accepted is refused; the epoch that is shown already
  // changes nothing.
  goTo(epoch) {
    if (epoch < this.epoch) return false;
    const moved = epoch > this.epoch;
    this.epoch = epoch;
    if (moved || !this.current) {
      this.retryMs = FIRST_RETRY_MS;
      this.connect();
    }
    return moved;
  }

  connect() {
    clearTimeout(this.timer);
    this.drop();
    const place = document.createElement("div");
    this.screen.append(place);
    const rfb = new RFB(place, this.address(this.epoch), { shared: true });
    rfb.scaleViewport = true;
    rfb.background = "#000";
    rfb.qualityLevel = 8;
    rfb.compressionLevel = 1;
    const connection = { rfb, place, epoch: this.epoch, canvas: place.querySelector("canvas"), pictured: false, opened: performance.now() };
    this.current = connection;
    rfb.addEventListener("connect", () => { connection.opened = performance.now(); this.watch(connection); });
    rfb.addEventListener("disconnect", () => this.ended(connection));
    // A desktop behind a ticket asks for no password; if one does, it is not ours.
    rfb.addEventListener("credentialsrequired", () => rfb.disconnect());
    rfb.addEventListener("clipboard", (event) => this.dispatchEvent(new CustomEvent("clipboard", { detail: event.detail })));
  }

  // Waits for the first complete picture of a connection.
  watch(connection) {
    if (this.current !== connection) return;
    const drawn = drawnPoints(connection.canvas);
    const waited = performance.now() - connection.opened;
    if (drawn < 5 && !(drawn > 0 && waited > PARTIAL_LIMIT_MS)) {
      if (waited > PICTURE_LIMIT_MS) connection.rfb.disconnect();
      else setTimeout(() => this.watch(connection), PICTURE_POLL_MS);
      return;
    }
    connection.pictured = true;
    this.everPictured = true;
    this.retryMs = FIRST_RETRY_MS;
    this.dispatchEvent(new CustomEvent("picture", { detail: { epoch: connection.epoch } }));
  }

  // Copies what a connection shows to the overlay. Its canvas keeps its pixels after it left the page.
  hold(connection) {
    if (connection.pictured) {
      this.overlay.width = connection.canvas.width;
      this.overlay.height = connection.canvas.height;
      this.overlay.getContext("2d").drawImage(connection.canvas, 0, 0);
    }
    this.dispatchEvent(new CustomEvent("held", { detail: { everPictured: this.everPictured } }));
  }

  // Leaves the present connection, keeping its picture.
  drop() {
    const connection = this.current;
    if (!connection) return;
    this.current = null;
    this.hold(connection);
    connection.rfb.disconnect();
    connection.place.remove();
  }

  // A connection ended by itself: try again, soon at first.
  ended(connection) {
    if (this.current !== connection) return;
    this.current = null;
    this.hold(connection);
    connection.place.remove();
    this.timer = setTimeout(() => this.connect(), this.retryMs);
    this.retryMs = Math.min(this.retryMs * 2, LAST_RETRY_MS);
  }

  // Connects afresh: the present connection may be dead without knowing it.
  renew() {
    if (this.epoch === 0) return;
    this.retryMs = FIRST_RETRY_MS;
    this.connect();
  }

  // Nothing is shown here any more until goTo() is called again: the picture stays, the connection goes.
  rest() {
    clearTimeout(this.timer);
    this.drop();
  }

  focus() { this.current?.rfb.focus(); }
  paste(text) { this.current?.rfb.clipboardPasteFrom(text); }
  controlAltDelete() { this.current?.rfb.sendCtrlAltDel(); }
}

// @ts-check
// The connection to the live feed: continues where it was, and says what it receives and how it is. Trades that arrive together
// are passed on together.
import { Since } from "./page.js";
import { whenSignedIn } from "./session.js";
/** @import { FeedMessage, FeedState, Trade } from "./types.d.ts" */

const RETRY_MS = 2000;
const CHECK_MS = 1000;

export class Feed {
  /**
   * `after` is the seq to continue after, `staleMs` the time without any message after which the connection is given up.
   * @param {{ url: string, staleMs: number, after: number, onMessage: (message: FeedMessage) => void }} options
   */
  constructor({ url, staleMs, after, onMessage }) {
    this.url = url;
    this.staleMs = staleMs;
    this.after = after;
    this.onMessage = onMessage;
    this.heard = new Since();
    /** @type {FeedState} */
    this.state = "connecting";
    /** @type {EventSource | undefined} */
    this.source = undefined;
    /** @type {number | undefined} */
    this.reopenTimer = undefined;
    /** @type {Trade[]} Received and not passed on yet. */
    this.received = [];
    // A message to itself comes after all trades that have arrived, and unlike a timer it is as quick in a hidden page.
    this.turn = new MessageChannel();
    this.turn.port1.addEventListener("message", () => this.passOn());
    this.turn.port1.start();
    this.checkTimer = setInterval(() => this.check(), CHECK_MS);
    this.open();
  }

  open() {
    this.disconnect();
    this.heard = new Since();
    const source = new EventSource(`${this.url}?after=${this.after}`);
    this.source = source;
    source.addEventListener("heartbeat", ({ data }) => {
      this.hear();
      this.passOn();
      this.onMessage({ type: "heartbeat", from: this.after, heartbeat: JSON.parse(data) });
    });
    source.addEventListener("trade", ({ data }) => {
      if (!this.received.length) this.turn.port2.postMessage(null);
      this.received.push(JSON.parse(data));
    });
    source.addEventListener("pipeline", ({ data }) => this.onMessage({ type: "pipeline", pipeline: JSON.parse(data) }));
    // The journal was replaced: its seq starts again.
    source.addEventListener("reset", () => this.onMessage({ type: "reset" }));
    // EventSource would reconnect with the id of its last event, a second cursor, and not at all after a 503.
    source.addEventListener("error", () => { this.setState("reconnecting"); this.openLater(); });
  }

  passOn() {
    const trades = this.received;
    const from = this.after;
    if (!trades.length) return;
    this.received = [];
    this.after = trades[trades.length - 1].seq;
    this.hear();
    this.onMessage({ type: "trades", from, trades });
  }

  hear() {
    this.heard = new Since();
    if (this.state !== "live") this.setState("live");
  }

  close() {
    clearInterval(this.checkTimer);
    this.disconnect();
    this.passOn();
    this.turn.port1.close();
  }

  disconnect() {
    this.source?.close();
    this.source = undefined;
    clearTimeout(this.reopenTimer);
    this.reopenTimer = undefined;
  }

  openLater() {
    this.disconnect();
    const timer = setTimeout(async () => {
      await whenSignedIn();
      if (this.reopenTimer === timer) this.open();
    }, RETRY_MS);
    this.reopenTimer = timer;
  }

  // Other pages hear every second that this one still holds the feed.
  check() {
    if (this.source && this.heard.age >= this.staleMs) {
      this.setState("stale");
      this.openLater();
    } else {
      this.setState(this.state);
    }
  }

  /** @param {FeedState} state */
  setState(state) {
    this.state = state;
    this.onMessage({ type: "state", state });
  }
}

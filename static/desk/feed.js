// @ts-check
// The connection to the live feed: continues where it was, and says what it receives and how it is. Trades that arrive together
// are passed on together, few enough that no task takes long: an EventSource would handle all that has arrived in one task.
import { Since } from "./page.js";
import { watch, whenSignedIn } from "./session.js";
/** @import { FeedMessage, FeedState, Trade } from "./types.d.ts" */

const RETRY_MS = 2000;
const CHECK_MS = 1000;
// Events that are handled in one task.
const BATCH = 100;

// A message to itself comes after what waits already, and unlike a timer it is as quick in a hidden page.
const turn = new MessageChannel();
const nextTask = () => new Promise((resolve) => {
  turn.port1.addEventListener("message", resolve, { once: true });
  turn.port1.start();
  turn.port2.postMessage(null);
});

/** The type and the data of a server-sent event. @param {string} block */
const readEvent = (block) => {
  let [type, data] = ["", ""];
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) type = line.slice(7);
    else if (line.startsWith("data: ")) data = line.slice(6);
  }
  return { type, data };
};

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
    /** @type {AbortController | undefined} */
    this.connection = undefined;
    /** @type {number | undefined} */
    this.reopenTimer = undefined;
    /** @type {Trade[]} Received and not passed on yet. */
    this.received = [];
    this.checkTimer = setInterval(() => this.check(), CHECK_MS);
    this.open();
  }

  async open() {
    this.disconnect();
    this.heard = new Since();
    const connection = new AbortController();
    this.connection = connection;
    try {
      await this.read(connection.signal);
    } finally {
      // Also after an error of who handled a message: a connection that nobody reads looks live.
      if (this.connection === connection) {
        this.setState("reconnecting");
        this.openLater();
      }
    }
  }

  /** Reads events until the connection ends. @param {AbortSignal} signal */
  async read(signal) {
    const headers = { Accept: "text/event-stream" };
    // The network or the web process may be down, or the worker has no capacity.
    const response = await fetch(`${this.url}?after=${this.after}`, { headers, cache: "no-store", signal }).catch(() => undefined);
    if (!response || !watch(response).ok || !response.body) return;
    const reader = response.body.getReader();
    const next = () => reader.read().catch(() => ({ value: undefined }));
    const decoder = new TextDecoder();
    let text = "";
    for (let part = await next(); part.value; part = await next()) {
      text += decoder.decode(part.value, { stream: true });
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      while (blocks.length) {
        for (const block of blocks.splice(0, BATCH)) this.receive(readEvent(block));
        this.passOn();
        await nextTask();
        if (signal.aborted) return;
      }
    }
  }

  /** @param {{ type: string, data: string }} event */
  receive({ type, data }) {
    if (type === "trade") {
      this.received.push(JSON.parse(data));
      return;
    }
    this.passOn();
    if (type === "heartbeat") {
      this.hear();
      this.onMessage({ type, from: this.after, heartbeat: JSON.parse(data) });
    } else if (type === "pipeline") {
      this.onMessage({ type, pipeline: JSON.parse(data) });
    } else if (type === "reset") {
      // The journal was replaced: its seq starts again.
      this.onMessage({ type });
    }
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
  }

  disconnect() {
    this.connection?.abort();
    this.connection = undefined;
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
    if (this.connection && this.heard.age >= this.staleMs) {
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

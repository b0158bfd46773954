// @ts-check
// Every trade once and in order on this page, from one feed for all pages of the browser: the page that holds a lock reads
// the feed, and sends what it reads to the others. Each page has its own position, so it does not matter which one reads.
import { Feed } from "./feed.js";
import { request, Since } from "./page.js";
/** @import { FeedMessage, FeedState, Heartbeat, Pipeline, Trade } from "./types.d.ts" */

const CHECK_MS = 1000;
const RETRY_MS = 1000;
// Trades; after a longer gap the missed ones are skipped, since the page shows only the newest.
const MAX_CATCH_UP = 2000;

/**
 * `onSkip` receives the seq that the journal has reached, and returns the seq to continue after.
 * @typedef {{
 *   feedUrl: string, tradesUrl: string, staleMs: number, after: number, onTrades: (trades: Trade[]) => void,
 *   onHeartbeat: (heartbeat: Heartbeat) => void, onPipeline: (pipeline: Pipeline) => void,
 *   onState: (state: FeedState) => void, onComplete: (seq: number) => void, onSkip: (last: number) => Promise<number>,
 * }} Options
 */

export class Live {
  /** @param {Options} options */
  constructor(options) {
    this.options = options;
    this.position = options.after;
    /** @type {FeedMessage[] | undefined} What arrived while missing trades are read. */
    this.waiting = undefined;
    /** @type {Feed | undefined} */
    this.feed = undefined;
    /** @type {BroadcastChannel | undefined} */
    this.channel = undefined;
    /** @type {(() => void) | undefined} */
    this.release = undefined;
    this.left = new AbortController();
    this.heard = new Since();
    addEventListener("pagehide", () => this.leave());
    addEventListener("pageshow", ({ persisted }) => { if (persisted) this.join(); });
    setInterval(() => this.check(), CHECK_MS);
    this.join();
  }

  join() {
    this.left = new AbortController();
    this.heard = new Since();
    this.options.onState("connecting");
    // Browsers have locks only in secure contexts: HTTPS or localhost.
    if (!navigator.locks || !window.BroadcastChannel) {
      this.read();
      return;
    }
    this.channel = new BroadcastChannel(this.options.feedUrl);
    this.channel.addEventListener("message", ({ data }) => {
      this.heard = new Since();
      // Of two readers, one has lost the lock and does not know it yet.
      if (!this.feed) this.handle(data);
    });
    this.queueFor({ signal: this.left.signal });
  }

  // The browser keeps a page that is left for the way back only if it holds no lock, channel or connection.
  leave() {
    this.left.abort();
    this.stopReading();
    this.channel?.close();
    this.channel = undefined;
    this.options.onState("paused");
  }

  /** @param {LockOptions} options */
  async queueFor(options) {
    const { signal } = this.left;
    try {
      await navigator.locks.request(this.options.feedUrl, options, () => {
        if (signal.aborted) return undefined;
        this.read();
        return new Promise((resolve) => { this.release = () => resolve(undefined); });
      });
    } catch {
      // Given up by leave, or taken by a page that heard nothing from this one.
    }
    if (signal.aborted) return;
    this.stopReading();
    this.queueFor({ signal });
  }

  read() {
    const { feedUrl, staleMs } = this.options;
    this.feed?.close();
    this.feed = new Feed({
      url: feedUrl,
      staleMs,
      after: this.position,
      onMessage: (message) => {
        this.channel?.postMessage(message);
        this.handle(message);
      },
    });
  }

  stopReading() {
    this.feed?.close();
    this.feed = undefined;
    this.release?.();
    this.release = undefined;
  }

  check() {
    if (this.left.signal.aborted || this.feed || this.heard.age < this.options.staleMs) return;
    // The page that holds the lock says nothing, not even that its connection is broken: it is frozen.
    this.options.onState("stale");
    this.heard = new Since();
    this.left.abort();
    this.left = new AbortController();
    this.queueFor({ steal: true });
  }

  /** @param {FeedMessage} message */
  handle(message) {
    const { onHeartbeat, onPipeline, onState, onComplete, onTrades } = this.options;
    switch (message.type) {
      case "state": onState(message.state); return;
      case "pipeline": onPipeline(message.pipeline); return;
      case "reset": location.reload(); return;
      default:
    }
    if (message.type === "heartbeat") onHeartbeat(message.heartbeat);
    onState("live");
    if (this.waiting) {
      this.waiting.push(message);
      return;
    }
    const behind = message.type === "heartbeat" && message.heartbeat.last_seq - this.position > MAX_CATCH_UP;
    if (message.from > this.position || behind) {
      this.waiting = [message];
      this.catchUp(behind ? message.heartbeat.last_seq : message.from);
    } else if (message.type === "trades") {
      const trades = message.trades.filter(({ seq }) => seq > this.position);
      if (!trades.length) return;
      this.position = trades[trades.length - 1].seq;
      onTrades(trades);
      onComplete(this.position);
    } else if (this.position >= message.heartbeat.last_seq) {
      onComplete(this.position);
    }
  }

  /**
   * Reads what this page has missed, and then handles what arrived meanwhile.
   * @param {number} last
   */
  async catchUp(last) {
    const { tradesUrl, onSkip, onTrades } = this.options;
    if (last - this.position > MAX_CATCH_UP) {
      this.position = await onSkip(last);
      if (this.feed) this.read();
    }
    while (this.position < last) {
      try {
        const response = await request(`${tradesUrl}?after=${this.position}&limit=500`);
        /** @type {{ trades: Trade[] }} */
        const { trades } = await response.json();
        onTrades(trades);
        // Of a seq that the journal has no trade for, nothing is missing.
        this.position = trades.at(-1)?.seq ?? last;
      } catch {
        await new Promise((resolve) => { setTimeout(resolve, RETRY_MS); });
      }
    }
    const messages = this.waiting ?? [];
    this.waiting = undefined;
    for (const message of messages) this.handle(message);
  }
}

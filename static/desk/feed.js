// @ts-check
// The live feed: each trade once and without gaps, across restarts, network errors and hidden tabs.
/** @import { Heartbeat, Trade } from "./types.d.ts" */
const RETRY_MS = 2000;

/** @typedef {"connecting" | "live" | "reconnecting" | "stale" | "paused"} FeedState */

export class Feed {
  /**
   * `after` is the seq to continue after, `staleMs` the time without any message after which the connection is given up.
   * `onTrades` receives all trades of one animation frame. `onResume` receives the last seq and returns the seq to
   * continue after.
   * @param {{
   *   url: string, staleMs: number, after: number, onTrades: (trades: Trade[]) => void,
   *   onHeartbeat: (heartbeat: Heartbeat) => void, onState: (state: FeedState) => void,
   *   onResume: (after: number) => Promise<number>,
   * }} options
   */
  constructor({ url, staleMs, after, onTrades, onHeartbeat, onState, onResume }) {
    this.url = url;
    this.staleMs = staleMs;
    this.after = after;
    this.onTrades = onTrades;
    this.onHeartbeat = onHeartbeat;
    this.onState = onState;
    this.onResume = onResume;
    /** @type {Trade[]} */
    this.queue = [];
    this.lastEventAt = 0;
    /** @type {EventSource | undefined} */
    this.source = undefined;
    /** @type {number | undefined} */
    this.reopenTimer = undefined;
    /** @type {FeedState} */
    this.state = "connecting";
    document.addEventListener("visibilitychange", () => (document.hidden ? this.pause() : this.resume()));
    setInterval(() => this.checkStale(), 1000);
    if (!document.hidden) this.open();
  }

  open() {
    this.close();
    this.touch();
    const source = new EventSource(`${this.url}?after=${this.after}`);
    this.source = source;
    source.addEventListener("open", () => { this.touch(); this.setState("live"); });
    source.addEventListener("heartbeat", (event) => {
      this.touch();
      this.setState("live");
      this.onHeartbeat(JSON.parse(event.data));
    });
    source.addEventListener("trade", (event) => { this.touch(); this.receive(JSON.parse(event.data)); });
    // The journal was replaced: its seq starts again.
    source.addEventListener("reset", () => location.reload());
    // EventSource would reconnect with the id of its last event, a second cursor, and not at all after a 503.
    source.addEventListener("error", () => { this.setState("reconnecting"); this.openLater(); });
  }

  /** @param {Trade} trade */
  receive(trade) {
    this.after = trade.seq;
    if (this.queue.push(trade) === 1) requestAnimationFrame(() => this.onTrades(this.queue.splice(0)));
  }

  close() {
    this.source?.close();
    this.source = undefined;
    clearTimeout(this.reopenTimer);
    this.reopenTimer = undefined;
  }

  openLater() {
    this.close();
    this.reopenTimer = setTimeout(() => this.open(), RETRY_MS);
  }

  pause() { this.close(); this.setState("paused"); }

  async resume() {
    this.setState("reconnecting");
    this.after = await this.onResume(this.after);
    if (!document.hidden) this.open();
  }

  touch() { this.lastEventAt = performance.now(); }

  checkStale() {
    if (!this.source || performance.now() - this.lastEventAt < this.staleMs) return;
    this.setState("stale");
    this.openLater();
  }

  /** @param {FeedState} state */
  setState(state) {
    if (state === this.state) return;
    this.state = state;
    this.onState(state);
  }
}

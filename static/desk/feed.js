// The live feed: each trade once and without gaps, across restarts, network errors and hidden tabs.
const STALE_MS = 6000;
const RETRY_MS = 2000;

export class Feed {
  // `onTrades` receives all trades of one animation frame. `onState` receives connecting, live, reconnecting, stale
  // or paused. `onResume` receives the last seq and returns the seq to continue after.
  constructor({ after, onTrades, onHeartbeat, onState, onResume }) {
    this.after = after;
    this.onTrades = onTrades;
    this.onHeartbeat = onHeartbeat;
    this.onState = onState;
    this.onResume = onResume;
    this.queue = [];
    this.frameRequested = false;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.pause() : this.resume()));
    setInterval(() => this.checkStale(), 1000);
    if (!document.hidden) this.open();
  }

  open() {
    this.touch();
    this.source = new EventSource(`feed?after=${this.after}`);
    this.source.addEventListener("open", () => { this.touch(); this.setState("live"); });
    this.source.addEventListener("heartbeat", (event) => {
      this.touch();
      this.setState("live");
      this.onHeartbeat(JSON.parse(event.data));
    });
    this.source.addEventListener("trade", (event) => { this.touch(); this.receive(event); });
    // The journal was replaced: its seq starts again.
    this.source.addEventListener("reset", () => location.reload());
    this.source.addEventListener("error", () => {
      this.setState("reconnecting");
      // EventSource does not retry after a response that is not an event stream, such as 503.
      if (this.source?.readyState === EventSource.CLOSED) setTimeout(() => this.reopen(), RETRY_MS);
    });
  }

  receive(event) {
    const seq = Number(event.lastEventId);
    if (seq <= this.after) return;
    this.after = seq;
    this.queue.push(event.data);
    if (this.frameRequested) return;
    this.frameRequested = true;
    requestAnimationFrame(() => {
      this.frameRequested = false;
      this.onTrades(this.queue.splice(0).map((text) => JSON.parse(text)));
    });
  }

  close() { this.source?.close(); this.source = null; }

  reopen() {
    if (document.hidden || this.source?.readyState === EventSource.OPEN) return;
    this.close();
    this.open();
  }

  pause() { this.close(); this.setState("paused"); }

  async resume() {
    this.setState("reconnecting");
    this.after = await this.onResume(this.after);
    this.reopen();
  }

  touch() { this.lastEventAt = performance.now(); }

  checkStale() {
    if (!this.source || performance.now() - this.lastEventAt < STALE_MS) return;
    this.setState("stale");
    this.reopenTimer ??= setTimeout(() => { this.reopenTimer = null; this.close(); this.reopen(); }, RETRY_MS);
  }

  setState(state) { if (state !== this.state) this.onState((this.state = state)); }
}

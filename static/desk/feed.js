// The feed: trades as they are accepted, without a hole or a repeat, through restarts, sleep and hidden tabs.
const SILENT_MS = 6000;
const RETRY_MS = 2000;

export class Feed {
  // `onTrades` gets all trades of one frame at once, `onState` one of connecting, live, reconnecting, stale, paused.
  constructor({ after, onTrades, onPulse, onState, onReturn }) {
    this.after = after;
    this.onTrades = onTrades;
    this.onPulse = onPulse;
    this.onState = onState;
    this.onReturn = onReturn;
    this.waiting = [];
    this.framed = false;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.pause() : this.resume()));
    setInterval(() => this.check(), 1000);
    if (!document.hidden) this.open();
  }

  open() {
    this.heard();
    this.source = new EventSource(`/feed?after=${this.after}`);
    this.source.addEventListener("open", () => { this.heard(); this.tell("live"); });
    this.source.addEventListener("heartbeat", (event) => {
      this.heard();
      this.tell("live");
      this.onPulse(JSON.parse(event.data));
    });
    this.source.addEventListener("trade", (event) => { this.heard(); this.take(event); });
    // Another tape: the desk begins anew.
    this.source.addEventListener("reset", () => location.reload());
    this.source.addEventListener("error", () => {
      this.tell("reconnecting");
      // After an answer that is no feed, such as 503, the browser gives up for good.
      if (this.source?.readyState === EventSource.CLOSED) setTimeout(() => this.reopen(), RETRY_MS);
    });
  }

  take(event) {
    const seq = Number(event.lastEventId);
    if (seq <= this.after) return;
    this.after = seq;
    this.waiting.push(event.data);
    if (this.framed) return;
    this.framed = true;
    requestAnimationFrame(() => {
      this.framed = false;
      this.onTrades(this.waiting.splice(0).map((text) => JSON.parse(text)));
    });
  }

  close() { this.source?.close(); this.source = null; }

  reopen() {
    if (document.hidden || this.source?.readyState === EventSource.OPEN) return;
    this.close();
    this.open();
  }

  pause() { this.close(); this.tell("paused"); }

  async resume() {
    this.tell("reconnecting");
    this.after = await this.onReturn(this.after);
    this.reopen();
  }

  heard() { this.heardAt = performance.now(); }

  check() {
    if (!this.source || performance.now() - this.heardAt < SILENT_MS) return;
    this.tell("stale");
    this.reopenSoon ??= setTimeout(() => { this.reopenSoon = null; this.close(); this.reopen(); }, RETRY_MS);
  }

  tell(state) { if (state !== this.state) this.onState((this.state = state)); }
}

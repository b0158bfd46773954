// @ts-check
// The status in the header: web, sidecar, lag and feed, each as text with a shape and a colour.
import { byId } from "./page.js";
/** @import { FeedState } from "./feed.js" */
/** @import { Pipeline } from "./types.d.ts" */
const POLL_MS = 3000;

/** @typedef {"ok" | "warn" | "down"} Level */

/** @type {Record<FeedState, [Level, string]>} */
const FEED = {
  connecting: ["warn", "connecting"], live: ["ok", "live"], reconnecting: ["warn", "reconnecting"],
  stale: ["down", "stale"], paused: ["warn", "paused"],
};

export class StatusBar {
  /** @param {HTMLElement} list @param {HTMLElement} announcement */
  constructor(list, announcement) {
    this.list = list;
    this.announcement = announcement;
    this.problems = "";
    list.hidden = false;
    setInterval(() => { if (!document.hidden) this.poll(); }, POLL_MS);
    this.poll();
  }

  /** @param {string} name @param {Level} level @param {string} text */
  show(name, level, text) {
    const item = byId(`status-${name}`, HTMLLIElement);
    item.className = level;
    item.querySelector("b")?.replaceChildren(text);
    this.announce();
  }

  /** @param {FeedState} state */
  showFeed(state) { this.show("feed", ...FEED[state]); }

  // Screen readers announce each problem once, and the recovery.
  announce() {
    const problems = Array.from(this.list.querySelectorAll(".down"), (item) => item.textContent?.trim()).join(", ");
    if (problems === this.problems) return;
    this.announcement.textContent = problems ? `Problem: ${problems}` : "All systems operational";
    this.problems = problems;
  }

  async poll() {
    /** @type {Pipeline} */
    let pipeline;
    try {
      pipeline = await (await fetch(this.list.dataset.pipeline ?? "")).json();
    } catch {
      this.show("web", "down", "down");
      return;
    }
    const { web, sidecar, lag_events: lag } = pipeline;
    this.show("web", web.ready ? "ok" : "down", web.ready ? "up" : `not ready: ${web.reason}`);
    this.show("sidecar", sidecar.ready ? "ok" : "down", !sidecar.reachable ? "down" : sidecar.ready ? "up" : "not ready");
    this.show("lag", lag === null ? "warn" : lag > 1000 ? "down" : lag > 100 ? "warn" : "ok", lag === null ? "unknown" : String(lag));
  }
}

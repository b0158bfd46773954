// @ts-check
// The status in the header: web, sidecar, lag and feed, each as text with a shape and a colour, and with an age. What was
// not heard again for a while is not known.
import { formatAge, formatWhole } from "./format.js";
import { linkToAll } from "./links.js";
import { byId, makeElement, request, setText, Since } from "./page.js";
/** @import { Alert, FeedState, Pipeline } from "./types.d.ts" */

const TICK_MS = 500;
// The state of the pipeline comes with the feed, at most this old; when it does not, it is requested.
const ASK_MS = 4500;
// Trades on one page of the blotter.
const MOST_LISTED = 1000;
const PARTS = { web: "Web", sidecar: "Sidecar", lag: "Lag", feed: "Feed" };

/** @typedef {"ok" | "warn" | "down" | "unknown"} Level */
/** @typedef {keyof typeof PARTS} Name */

/** @type {Record<FeedState, [Level, string]>} */
const FEED = {
  connecting: ["warn", "connecting"], live: ["ok", "live"], reconnecting: ["warn", "reconnecting"],
  stale: ["down", "stale"], paused: ["warn", "paused"],
};

const formatTime = (/** @type {number} */ wall) => new Date(wall).toISOString().slice(11, 19);

export class StatusBar {
  /**
   * `unknownMs` is the age at which a state becomes unknown. `onChange` receives the trouble in words, "" for none.
   * @param {{ pipelineUrl: string, unknownMs: number, onChange: (trouble: string) => void }} options
   */
  constructor({ pipelineUrl, unknownMs, onChange }) {
    this.pipelineUrl = pipelineUrl;
    this.unknownMs = unknownMs;
    this.onChange = onChange;
    /** @type {Record<Name, { level: Level, text: string, since: Since }>} */
    this.parts = {
      web: { level: "warn", text: "…", since: new Since() },
      sidecar: { level: "warn", text: "…", since: new Since() },
      lag: { level: "warn", text: "…", since: new Since() },
      feed: { level: "warn", text: "connecting", since: new Since() },
    };
    /** @type {{ seq: number, since: Since } | undefined} */
    this.complete = undefined;
    /** @type {Alert[]} */
    this.alerts = [];
    this.trouble = "";
    this.silence = "";
    this.asking = false;
    this.changed = false;
    byId("cut-off-close", HTMLButtonElement).addEventListener("click", () => { byId("cut-off", HTMLElement).hidden = true; });
    setInterval(() => this.tick(), TICK_MS);
    this.ask();
  }

  /** @param {Name} name @param {Level} level @param {string} text @param {number} [age] in milliseconds */
  renew(name, level, text, age = 0) {
    this.changed ||= this.parts[name].text !== text;
    this.parts[name] = { level, text, since: new Since(age) };
  }

  /** @param {FeedState} state */
  showFeed(state) {
    this.renew("feed", ...FEED[state]);
    if (this.changed) this.tick();
  }

  /** @param {Pipeline} pipeline */
  showPipeline({ age, web, sidecar, lag_events: lag, alerts }) {
    const ms = age * 1000;
    // From the feed and by request; the newer one counts.
    if (ms > this.parts.web.since.age) return;
    this.renew("web", web.ready ? "ok" : "down", web.ready ? "up" : `not ready: ${web.reason}`, ms);
    this.renew("sidecar", sidecar.ready ? "ok" : "down", !sidecar.reachable ? "down" : sidecar.ready ? "up" : "not ready", ms);
    if (lag === null) this.renew("lag", "unknown", "unknown", ms);
    else this.renew("lag", lag > 1000 ? "down" : lag > 100 ? "warn" : "ok", formatWhole(lag), ms);
    // Those that are not counted yet are the newest.
    linkToAll(byId("lag-trades", HTMLAnchorElement), lag ? { limit: String(Math.min(lag, MOST_LISTED)) } : {});
    this.showAlerts(alerts ?? null);
    if (this.changed) this.tick();
  }

  /** @param {Alert[] | null} alerts null when no Prometheus answers */
  showAlerts(alerts) {
    this.alerts = alerts ?? [];
    const item = byId("status-alerts", HTMLLIElement);
    item.hidden = alerts === null;
    item.className = alerts === null ? "" : this.alerts.some(({ severity }) => severity === "critical") ? "down" : this.alerts.length ? "warn" : "ok";
    const links = this.alerts.map(({ name, summary, runbook_url: url }) => makeElement(url ? "a" : "span", name, url ? { href: url, title: summary } : { title: summary }));
    item.querySelector("b")?.replaceChildren(...(links.length ? links.flatMap((link) => [link, " "]) : ["none"]));
  }

  // Without an answer of the web process nothing is known of what it tells.
  showNoAnswer() {
    this.showAlerts(null);
    this.renew("web", "down", "no answer");
    this.renew("sidecar", "unknown", "unknown");
    this.renew("lag", "unknown", "unknown");
    this.tick();
  }

  /**
   * The page has every trade up to this seq.
   * @param {number} seq
   */
  showComplete(seq) {
    const since = this.complete?.since;
    if (since && since.age > this.unknownMs) {
      setText("cut-off-text", `Cut off from ${formatTime(since.wall)} to ${formatTime(Date.now())} UTC. Every trade of that time is here.`);
      byId("cut-off", HTMLElement).hidden = false;
    }
    this.complete = { seq, since: new Since() };
  }

  /** @param {string} text says which sources are silent, "" for none */
  showSilence(text) {
    this.silence = text;
    this.tick();
  }

  async ask() {
    this.asking = true;
    try {
      this.showPipeline(await (await request(this.pipelineUrl)).json());
    } catch {
      this.showNoAnswer();
    }
    this.asking = false;
  }

  tick() {
    this.changed = false;
    const troubles = [];
    const warnings = [];
    for (const name of /** @type {Name[]} */ (Object.keys(PARTS))) {
      const { level, text, since } = this.parts[name];
      const known = since.age <= this.unknownMs;
      const item = byId(`status-${name}`, HTMLLIElement);
      const words = known ? text : "unknown";
      item.className = known ? level : "unknown";
      item.querySelector("b")?.replaceChildren(words);
      item.querySelector("small")?.replaceChildren(`${formatAge(since.age)} ago`);
      if (item.className === "down" || item.className === "unknown") troubles.push(`${PARTS[name]} ${words}`);
      else if (item.className === "warn") warnings.push(`${PARTS[name]} ${words}`);
    }
    if (this.parts.web.since.age > this.unknownMs) this.showAlerts(null);
    for (const { name, severity } of this.alerts) {
      if (severity !== "info") (severity === "critical" ? troubles : warnings).push(`Alert ${name}`);
    }
    if (this.silence) warnings.push(this.silence);
    this.write(troubles.join(", "), warnings.join(", "));
    const unheard = this.parts.web.since.age > ASK_MS || this.parts.feed.level !== "ok";
    if (unheard && !this.asking && this.parts.web.since.age > TICK_MS) this.ask();
  }

  /** @param {string} trouble @param {string} warning */
  write(trouble, warning) {
    byId("status-mark", HTMLElement).className = trouble ? "down" : warning ? "warn" : "ok";
    setText("status-summary", trouble || warning || "All systems operational");
    setText("status-complete", this.complete ? `every trade up to #${formatWhole(this.complete.seq)}, ${formatAge(this.complete.since.age)} ago` : "");
    if (trouble === this.trouble) return;
    // Screen readers announce each problem once, and the recovery.
    setText("status-announcement", trouble ? `Problem: ${trouble}` : "All systems operational");
    this.trouble = trouble;
    this.onChange(trouble);
  }
}

// @ts-check
// Which sources have been silent for longer than they may. The sidecar knows when each one traded last; later trades come with the feed.
import { formatAge } from "./format.js";
import { linkToAll } from "./links.js";
import { byId, request, setText } from "./page.js";
/** @import { Trade } from "./types.d.ts" */

const CHECK_MS = 1000;
const RETRY_MS = 30_000;
// Of the sources that have a limit or have traded within this time, the strip says how many there are.
const ACTIVE_MS = 15 * 60_000;

/** @param {string} source */
const name = (source) => source || "trades without a source";

export class Silence {
  /**
   * `limits` are seconds by source, `*` is every other one, 0 no limit; `now` is the server's time in seconds. `onChange` receives
   * who is silent, in words, "" for nobody.
   * @param {{ url: string, limits: Record<string, number>, now: () => number, onChange: (text: string, names: string) => void }} options
   */
  constructor({ url, limits, now, onChange }) {
    this.url = url;
    this.limits = limits;
    this.now = now;
    this.onChange = onChange;
    /** @type {Map<string, number>} When each source traded last, in seconds. */
    this.seen = new Map();
    this.text = "";
    this.read();
    setInterval(() => this.check(), CHECK_MS);
  }

  async read() {
    try {
      const response = await request(this.url, { headers: { Accept: "application/json" } });
      // It may be that no positions are kept: then only what the feed brings is known.
      if (response.status === 404) return;
      /** @type {{ sources: { source: string, last_seen: string | null }[] }} */
      const { sources } = await response.json();
      for (const { source, last_seen: at } of sources) if (at) this.hear(source, at);
      this.check();
    } catch {
      setTimeout(() => this.read(), RETRY_MS);
    }
  }

  /** @param {Trade[]} trades */
  add(trades) { for (const { source, ts } of trades) this.hear(source, ts); }

  /** @param {string} source @param {string} at */
  hear(source, at) { this.seen.set(source, Math.max(this.seen.get(source) ?? 0, Date.parse(at) / 1000)); }

  check() {
    const silent = [];
    let active = 0;
    for (const [source, at] of this.seen) {
      const age = this.now() - at;
      const limit = this.limits[source] ?? this.limits["*"] ?? 0;
      if (limit && age > limit) silent.push({ source, age });
      else if (age * 1000 < ACTIVE_MS) active += 1;
    }
    setText("tile-sources", `${active} active`);
    linkToAll(byId("tile-sources", HTMLAnchorElement), { since: new Date(this.now() * 1000 - ACTIVE_MS).toISOString(), time: "ts" });
    const link = byId("tile-silent", HTMLAnchorElement);
    link.hidden = !silent.length;
    link.textContent = silent.length ? `${silent.length} silent` : "";
    const text = silent.map(({ source, age }) => `${name(source)} silent for ${formatAge(age * 1000, true)}`).join(", ");
    if (text === this.text) return;
    this.text = text;
    this.onChange(text, silent.map(({ source }) => name(source)).join(", "));
  }
}

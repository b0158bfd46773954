// @ts-check
// The chart's panel: reads bars from /market/bars, adds live trades, scrolls back, and says in words what is shown.
import { Bars, readSeconds } from "./bars.js";
import { Chart } from "./chart.js";
import { describe, listValues } from "./legend.js";
import { readOwn } from "./own.js";
import { byId, request, setText } from "./page.js";
import { Redraw } from "./redraw.js";
/** @import { Bar, ChartAnswer, TimeColumn, Trade } from "./types.d.ts" */
/** @import { Zone } from "./zone.js" */

const DRAW_MS = 250;
const RETRY_MS = 1000;
// Trades kept to apply to bars that were read before they were accepted.
const RECENT_TRADES = 5000;
// Older bars are read when this many steps or fewer are left before the first one in view.
const AHEAD = 20;
const BARS_MAX = 2000;
// The fewest steps that are read at once then.
const OLDER_BARS = 500;
const BUTTONS = { "chart-in": "zoomIn", "chart-out": "zoomOut" };

/** @typedef {{ symbol: string | null, step: number, window: number, time: TimeColumn, zone: Zone }} Choice */

export class Panel {
  /** @param {string} url */
  constructor(url) {
    this.url = url;
    /** @type {Choice} */
    this.choice = { symbol: null, step: 5, window: 900, time: "accepted_at", zone: "utc" };
    this.bars = new Bars(5, "accepted_at");
    /** @type {ChartAnswer | undefined} What was read last, up to now. */
    this.answer = undefined;
    // Only the answer of the newest request is shown.
    this.requests = 0;
    this.lastSeq = 0;
    /** @type {Trade[]} */
    this.recent = [];
    // Every trade after this seq is in recent.
    this.recentAfter = 0;
    this.begun = false;
    this.older = false;
    /** @type {number | undefined} */
    this.point = undefined;
    this.redraw = new Redraw(() => this.draw(), DRAW_MS);
    this.moved = false;
    this.changed = false;
    /** @type {{ draw: (bars: Bar[], zone: Zone) => void } | undefined} */
    this.table = undefined;
    this.chart = new Chart(byId("chart", HTMLElement), {
      onPoint: (time) => { this.point = time; this.writeLegend(); },
      onView: () => this.loadOlder(),
    });
    for (const [id, name] of Object.entries(BUTTONS)) {
      byId(id, HTMLElement).addEventListener("click", () => this.chart[/** @type {"zoomIn" | "zoomOut"} */ (name)]());
    }
    byId("chart-newest", HTMLElement).addEventListener("click", () => this.chart.show(this.choice.window / this.choice.step));
    byId("chart-bounded", HTMLElement).addEventListener("click", () => { this.chart.setBounded(!this.chart.bounded); this.writeNote(); });
    byId("chart-table", HTMLElement).addEventListener("click", () => this.toggleTable());
    addEventListener("own-trade", () => this.drawMarks());
    addEventListener("storage", () => this.drawMarks());
    setInterval(() => this.writeNote(), 1000);
  }

  /** Shows what was chosen. A symbol that is null is named later, by `choose`. @param {Choice} choice */
  show(choice) {
    const { symbol, step, window, time } = this.choice;
    const sameSymbol = choice.symbol === null || choice.symbol === symbol;
    const same = sameSymbol && choice.step === step && choice.window === window && choice.time === time;
    this.choice = { ...choice, symbol: choice.symbol ?? symbol };
    this.chart.setZone(choice.zone);
    if (!same || !this.begun) this.start();
    this.draw();
  }

  /** The symbol that is shown when none was chosen. @param {string | null} symbol */
  choose(symbol) {
    if (symbol !== null && symbol !== this.choice.symbol) this.show({ ...this.choice, symbol });
  }

  start() {
    this.begun = this.choice.symbol !== null;
    this.bars = new Bars(this.choice.step, this.choice.time);
    this.answer = undefined;
    this.point = undefined;
    this.older = false;
    this.chart.bounded = true;
    this.chart.set([], this.choice.step);
    this.chart.show(this.choice.window / this.choice.step);
    setText("chart-symbol", this.choice.symbol ?? "Price");
    if (this.begun) this.load();
  }

  /** @param {string} [until] */
  read(until) {
    const { symbol, step, window, time } = this.choice;
    const seconds = Math.min(until ? Math.max(window, OLDER_BARS * step) : window, BARS_MAX * step);
    const query = new URLSearchParams({ symbol: symbol ?? "", step: String(step), window: String(seconds), time });
    if (until) query.set("until", until);
    return request(`${this.url}?${query}`);
  }

  async load() {
    this.requests += 1;
    const number = this.requests;
    const again = () => setTimeout(() => { if (number === this.requests) this.load(); }, RETRY_MS);
    /** @type {ChartAnswer} */
    let answer;
    try {
      const response = await this.read();
      // A session that has ended is begun again; anything else that is rejected would be again.
      if (response.status !== 401 && response.status >= 400 && response.status < 500) return;
      if (!response.ok) throw new Error(String(response.status));
      answer = await response.json();
    } catch {
      // The network or the web process is down.
      if (number === this.requests) again();
      return;
    }
    if (number !== this.requests) return;
    // It may lack trades that this page does not have either.
    if (answer.last_seq < this.recentAfter || !answer.complete) again();
    const older = this.answer ? this.bars.list.filter(({ time }) => time < answer.since) : [];
    this.answer = answer;
    this.lastSeq = answer.last_seq;
    this.bars = new Bars(this.choice.step, this.choice.time);
    this.bars.list = [...older, ...answer.bars];
    this.bars.newestAt = answer.last_at ?? "";
    for (const trade of this.recent) this.count(trade);
    this.moved = true;
    this.draw();
    this.drawMarks();
  }

  // Older bars are read when the first ones come into view; the view stays where it is.
  async loadOlder() {
    const { list } = this.bars;
    const range = this.chart.chart.timeScale().getVisibleLogicalRange();
    if (!range || range.from > AHEAD || this.older || !this.answer || !list.length || this.chart.wanted !== undefined) return;
    this.older = true;
    const number = this.requests;
    try {
      const response = await this.read(new Date(list[0].time * 1000).toISOString());
      /** @type {ChartAnswer} */
      const answer = await response.json();
      if (number !== this.requests) return;
      this.bars.prepend(answer.bars);
      this.chart.set(this.bars.list, this.choice.step);
      this.drawMarks();
      // Without an older trade the first bar is the first of all.
      this.older = answer.last_at === null;
      this.loadOlder();
    } catch {
      setTimeout(() => { if (number === this.requests) this.older = false; }, RETRY_MS);
    }
  }

  /** Trades will be added from here on. @param {number} after */
  follow(after) {
    this.recent = [];
    this.recentAfter = after;
    if (this.answer && this.lastSeq < after) this.load();
  }

  /** @param {Trade[]} trades */
  add(trades) {
    for (const trade of trades) this.recent.push(trade);
    if (this.recent.length > 2 * RECENT_TRADES) {
      const dropped = this.recent.splice(0, this.recent.length - RECENT_TRADES);
      this.recentAfter = dropped[dropped.length - 1].seq;
    }
    if (!this.answer) return;
    for (const trade of trades) this.count(trade);
    this.redraw.ask();
  }

  /** @param {Trade} trade */
  count(trade) {
    if (trade.seq <= this.lastSeq) return;
    this.lastSeq = trade.seq;
    if (trade.symbol !== this.choice.symbol) return;
    const last = this.bars.list.at(-1);
    const { bar, moved } = this.bars.add(trade);
    // Lightweight Charts appends and changes only the last bar: anything else is drawn again.
    this.moved ||= moved;
    if (last && bar !== last && this.changed && !this.moved) this.chart.update(last);
    this.changed = true;
  }

  draw() {
    if (this.bars.uncertain) {
      // Trades that were not in the order of their own times: the server knows which came first.
      this.bars.uncertain = false;
      setTimeout(() => this.load(), RETRY_MS);
    }
    const { list } = this.bars;
    if (this.moved || this.chart.bars !== list) this.chart.set(list, this.choice.step);
    else if (this.changed && list.length) this.chart.update(list[list.length - 1]);
    this.moved = this.changed = false;
    this.writeLegend();
    this.writeNote();
    this.table?.draw(list, this.choice.zone);
  }

  drawMarks() {
    const { symbol, step, time } = this.choice;
    const own = readOwn().filter((trade) => trade.symbol === symbol);
    this.chart.setMarks(own.map((trade) => ({ time: Math.floor(readSeconds(trade[time]) / step) * step, side: trade.side })).sort((a, b) => a.time - b.time));
    byId("own-key", HTMLElement).hidden = !own.length;
  }

  /** The first price of the window, for its change. */
  get firstPrice() {
    const { list } = this.bars;
    const since = (list.at(-1)?.time ?? 0) + this.choice.step - this.choice.window;
    return Number(list.find(({ time }) => time >= since)?.open ?? 0);
  }

  // The values of the bar under the pointer, or of the last one.
  writeLegend() {
    const { list } = this.bars;
    const bar = list.find(({ time }) => time === this.point) ?? list.at(-1);
    byId("chart-legend", HTMLElement).replaceChildren(...(bar ? listValues(bar, this.choice.step, this.choice.zone) : []));
  }

  writeNote() {
    const { beyond, bounded } = this.chart;
    setText("chart-note", describe(this).join(" "));
    const toggle = byId("chart-bounded", HTMLElement);
    toggle.hidden = bounded && !beyond.length;
    toggle.textContent = bounded ? "Show all" : "Leave outliers out";
  }

  async toggleTable() {
    const button = byId("chart-table", HTMLElement);
    const box = byId("bars", HTMLElement);
    box.hidden = !box.hidden;
    button.ariaExpanded = String(!box.hidden);
    if (box.hidden) {
      this.table = undefined;
      return;
    }
    const { BarTable } = await import("./bar-table.js");
    this.table = new BarTable(box);
    this.draw();
  }
}

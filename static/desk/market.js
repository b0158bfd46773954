// @ts-check
// The market over a window of time, up to now: tiles, symbols and one symbol's chart, read from /market and updated live.
import { formatAmount, formatChange, formatCount, formatShare } from "./format.js";
import { linkTo, linkToAll, linkTrades } from "./links.js";
import { byId, request, setText } from "./page.js";
import { Redraw } from "./redraw.js";
import { SymbolTable } from "./symbols.js";
import { Totals } from "./totals.js";
/** @import { Panel } from "./panel.js" */
/** @import { Summary, SymbolTotals, Trade } from "./types.d.ts" */

const RATE_SECONDS = 5;
const RELOAD_MS = 30_000;
const REDRAW_MS = 250;
const RETRY_MS = 1000;
const QUOTES = 3;
const SUMMARY_SYMBOLS = 200;
// Trades kept to apply to a summary that was computed before they were accepted.
const RECENT_TRADES = 5000;

export class Market {
  /**
   * `onPrice` receives the last price of the chosen symbol, with its name, `onSymbol` a symbol that was clicked, and the
   * panel of the chart the symbol that is shown.
   * @param {{ section: HTMLElement, panel: Panel, onPrice: (price: string) => void, onSymbol: (symbol: string) => void }} options
   */
  constructor({ section, panel, onPrice, onSymbol }) {
    this.panel = panel;
    this.onPrice = onPrice;
    this.url = section.dataset.url ?? "";
    this.window = 0;
    this.step = 0;
    this.currencies = JSON.parse(section.dataset.currencies ?? "[]");
    this.totals = new Totals([], this.currencies);
    /** @type {number[]} */
    this.acceptedTimes = [];
    /** @type {Trade[]} */
    this.recentTrades = [];
    // Every trade after this seq is in recentTrades.
    this.recentAfter = 0;
    this.openedAt = performance.now();
    /** @type {string | null} What is shown; null before the first trade. */
    this.selected = null;
    /** @type {string | null} What was asked for last, and may not be shown yet. */
    this.wanted = null;
    // Requests are numbered, and only the answer of the newest is shown.
    this.requests = 0;
    /** @type {number | undefined} */
    this.lastSeq = undefined;
    /** @type {number | undefined} */
    this.clockOffset = undefined;
    this.complete = true;
    this.table = new SymbolTable({ onSymbol, now: () => this.now() });
    this.redraw = new Redraw(() => this.draw(), REDRAW_MS);
    // Only a new summary drops the trades that have left the window.
    setInterval(() => { if (!document.hidden) this.reload(); }, RELOAD_MS);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.reload(); });
    setInterval(() => this.redraw.ask(), 1000);
  }

  /**
   * Shows a window up to now in bars of a step, both in seconds, of a symbol or of the one with the most notional.
   * @param {{ window: number, step: number, symbol: string | null }} choice
   */
  show({ window, step, symbol }) {
    this.window = window;
    this.step = step;
    return this.load(symbol);
  }

  /**
   * Reads the summary, and returns the seq of the last trade in it; undefined when none could be read yet.
   * @param {string | null} symbol
   */
  async load(symbol) {
    const query = new URLSearchParams({ window: String(this.window), step: String(Math.min(this.window, 86_400)), ...(symbol && { symbol }) });
    this.wanted = symbol;
    this.requests += 1;
    const number = this.requests;
    /** @type {Summary} */
    let summary;
    try {
      const response = await request(`${this.url}?${query}`);
      if (!response.ok) return this.lastSeq;
      summary = await response.json();
    } catch {
      // The network or the web process is down; the next interval tries again.
      return this.lastSeq;
    }
    if (number !== this.requests) return this.lastSeq;
    if (summary.last_seq < this.recentAfter) {
      // Summaries are shared for some seconds, and this one lacks trades that this page does not have either.
      setTimeout(() => { if (number === this.requests) this.load(symbol); }, RETRY_MS);
      return this.lastSeq;
    }
    this.totals = new Totals(summary.symbols, this.currencies);
    this.selected = this.wanted = summary.symbol;
    this.lastSeq = summary.last_seq;
    linkTrades(summary.since);
    this.complete = summary.complete && !summary.symbols[SUMMARY_SYMBOLS - 1]?.trades;
    this.panel.choose(summary.symbol);
    // Trades newer than the summary are not in it.
    this.count(this.recentTrades);
    this.draw();
    return summary.last_seq;
  }

  // A click whose answer is still on its way is not lost.
  reload() { return this.load(this.wanted ?? this.selected); }

  /**
   * The age of a trade is computed by the server's clock, since the browser's may be wrong.
   * @param {string} serverTime
   */
  syncClock(serverTime) {
    const offset = Date.parse(serverTime) - Date.now();
    // One of the clocks was set, so the window has moved.
    const moved = Math.abs(offset - (this.clockOffset ?? offset)) > this.step * 1000;
    this.clockOffset = offset;
    if (moved) this.reload();
  }

  // The server's time, in seconds.
  now() { return (Date.now() + (this.clockOffset ?? 0)) / 1000; }

  /**
   * Trades will be added from here on.
   * @param {number} after
   */
  followAfter(after) {
    this.recentTrades = [];
    this.recentAfter = after;
    return after;
  }

  /** @param {Trade[]} trades */
  add(trades) {
    const since = this.now() - RATE_SECONDS;
    for (const trade of trades) {
      const time = Date.parse(trade.accepted_at) / 1000;
      if (time > since) this.acceptedTimes.push(time);
      this.recentTrades.push(trade);
    }
    // Not for each trade: deleting the head of a list moves all the rest.
    if (this.recentTrades.length > 2 * RECENT_TRADES) {
      const dropped = this.recentTrades.splice(0, this.recentTrades.length - RECENT_TRADES);
      this.recentAfter = dropped[dropped.length - 1].seq;
    }
    this.count(trades);
    this.redraw.ask();
  }

  /** @param {Trade[]} trades */
  count(trades) {
    for (const trade of trades) {
      if (trade.seq <= (this.lastSeq ?? 0)) continue;
      this.lastSeq = trade.seq;
      const price = Number(trade.price);
      const quantity = Number(trade.qty);
      this.totals.add(trade, price, quantity);
      if (this.selected === null) {
        this.selected = trade.symbol;
        this.panel.choose(trade.symbol);
      }
    }
  }

  draw() {
    // Nothing is known yet: 0 would look like an empty window.
    if (this.lastSeq === undefined) return;
    const { trades, buys, notionals } = this.totals;
    setText("tile-trades", (this.complete ? "" : "over ") + formatCount(trades));
    const largest = Array.from(notionals).sort((a, b) => b[1] - a[1]).slice(0, QUOTES);
    setText("tile-notional", largest.map(([quote, amount]) => `${formatAmount(amount)} ${quote}`).join(" · ") || "0");
    this.drawRate();
    setText("tile-buys", trades ? formatShare(buys / trades) : "0");
    setText("tile-sells", trades ? formatShare(1 - buys / trades) : "0");
    this.table.draw(this.totals.list(), this.selected);
    const selected = this.totals.symbols.get(this.selected ?? "") ?? this.table.find(this.selected);
    this.drawPrice(selected);
    this.onPrice(selected ? `${selected.last_price} ${selected.symbol}` : "");
    setText("price-symbol", this.selected ?? "Price");
    const minutes = this.window / 60;
    byId("chart", HTMLElement).ariaLabel = selected
      ? `${this.selected}: last price ${selected.last_price}, ${formatCount(selected.trades)} trades in ${minutes} minutes`
      : `Price chart, no trades in the last ${minutes} minutes`;
  }

  /** @param {SymbolTotals | undefined} selected */
  drawPrice(selected) {
    const [price, change] = ["chart-price", "chart-change"].map((id) => byId(id, HTMLAnchorElement));
    price.hidden = change.hidden = !selected?.last_price;
    if (!selected) return;
    const { symbol, last_price: last } = selected;
    const { firstPrice: first } = this.panel;
    const ratio = first ? Number(last) / first - 1 : 0;
    setText(price.id, last);
    setText(change.id, formatChange(ratio));
    change.className = ratio < 0 ? "down" : "up";
    linkToAll(price, { symbol });
    linkTo(change, { symbol });
  }

  // The number and the window of its trades are of the same moment.
  drawRate() {
    const rate = this.rate();
    const { acceptedTimes: times } = this;
    // Several workers, and the hosts of a hub, do not accept in the order of seq.
    const [first, last] = times.length ? [Math.min(...times), Math.max(...times)] : Array(2).fill(this.now() - RATE_SECONDS);
    const [since, until] = [first * 1000, last * 1000 + 1].map((ms) => new Date(ms).toISOString());
    setText("tile-rate", rate.toFixed(1));
    linkToAll(byId("tile-rate", HTMLAnchorElement), { since, until });
  }

  // Trades per second over the last RATE_SECONDS, or since the page was opened.
  rate() {
    const now = this.now();
    // A heartbeat sets the clock up to a second late. Times beyond that are from a clock that was fast.
    this.acceptedTimes = this.acceptedTimes.filter((time) => time > now - RATE_SECONDS && time < now + 1);
    const known = Math.max(1, (performance.now() - this.openedAt) / 1000, now - (this.acceptedTimes[0] ?? Infinity));
    return this.acceptedTimes.length / Math.min(RATE_SECONDS, known);
  }
}

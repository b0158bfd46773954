// @ts-check
// The market over a window of time, up to now: tiles, symbols and one symbol's chart, read from /market and updated live.
import { Chart } from "./chart.js";
import { formatAmount, formatCount, formatShare } from "./format.js";
import { byId, makeElement, request, setText } from "./page.js";
/** @import { Summary, SymbolTotals, Trade } from "./types.d.ts" */

const RATE_SECONDS = 5;
const RELOAD_MS = 30_000;
const REDRAW_MS = 250;
const RETRY_MS = 1000;
const ROWS = 100;
// Trades kept to apply to a summary that was computed before they were accepted.
const RECENT_TRADES = 5000;

export class Market {
  /**
   * The section says which window to show, in bars of which length, both in seconds, and where to read it.
   * `onPrice` receives the last price of the chosen symbol, with its name.
   * @param {HTMLElement} section @param {(price: string) => void} onPrice
   */
  constructor(section, onPrice) {
    this.onPrice = onPrice;
    this.section = section;
    this.url = section.dataset.url ?? "";
    this.window = Number(section.dataset.window);
    this.step = Number(section.dataset.step);
    /** @type {Map<string, SymbolTotals>} */
    this.symbols = new Map();
    /** @type {number[]} */
    this.acceptedTimes = [];
    /** @type {Trade[]} */
    this.recentTrades = [];
    // Every trade after this seq is in recentTrades.
    this.recentAfter = 0;
    this.openedAt = performance.now();
    /** @type {string | null} */
    this.selected = null;
    /** @type {number | undefined} */
    this.lastSeq = undefined;
    /** @type {number | undefined} */
    this.clockOffset = undefined;
    /** @type {number | undefined} */
    this.timer = undefined;
    this.complete = true;
    this.chart = new Chart(byId("chart", HTMLElement), this.step);
    this.body = byId("symbols", HTMLTableElement).tBodies[0];
    this.body.addEventListener("click", ({ target }) => {
      const button = target instanceof Element ? target.closest("button") : null;
      if (button?.dataset.symbol) this.load(button.dataset.symbol);
    });
    // Only a new summary drops the trades that have left the window.
    setInterval(() => { if (!document.hidden) this.load(this.selected); }, RELOAD_MS);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.load(this.selected); });
    setInterval(() => this.draw(), 1000);
  }

  /**
   * Reads the summary, and returns the seq of the last trade in it; undefined when none could be read yet.
   * @param {string | null} [symbol]
   */
  async load(symbol) {
    const query = new URLSearchParams({ window: String(this.window), step: String(this.step), ...(symbol && { symbol }) });
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
    if (summary.last_seq < this.recentAfter) {
      // Summaries are shared for some seconds, and this one lacks trades that this page does not have either.
      setTimeout(() => this.load(symbol), RETRY_MS);
      return this.lastSeq;
    }
    this.symbols = new Map(summary.symbols.map((each) => [each.symbol, each]));
    this.selected = summary.symbol;
    this.lastSeq = summary.last_seq;
    this.complete = summary.complete;
    this.chart.set(summary.bars);
    this.updateSuggestions();
    // Trades newer than the summary are not in it.
    this.count(this.recentTrades);
    this.draw();
    return summary.last_seq;
  }

  /**
   * The age of a trade is computed by the server's clock, since the browser's may be wrong.
   * @param {string} serverTime
   */
  syncClock(serverTime) {
    const offset = Date.parse(serverTime) - Date.now();
    // One of the clocks was set, so the window has moved.
    const moved = Math.abs(offset - (this.clockOffset ?? offset)) > this.step * 1000;
    this.clockOffset = offset;
    if (moved) this.load(this.selected);
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
    this.acceptedTimes.push(...trades.map((trade) => Date.parse(trade.accepted_at) / 1000).filter((time) => time > since));
    this.recentTrades.push(...trades);
    const dropped = this.recentTrades.splice(0, Math.max(0, this.recentTrades.length - RECENT_TRADES));
    this.recentAfter = dropped.at(-1)?.seq ?? this.recentAfter;
    this.count(trades);
    this.timer ??= setTimeout(() => this.draw(), REDRAW_MS);
  }

  /** @param {Trade[]} trades */
  count(trades) {
    for (const trade of trades) {
      if (trade.seq <= (this.lastSeq ?? 0)) continue;
      this.lastSeq = trade.seq;
      const time = Date.parse(trade.accepted_at) / 1000;
      const price = Number(trade.price);
      const quantity = Number(trade.qty);
      const buys = trade.side === "BUY";
      let symbol = this.symbols.get(trade.symbol);
      if (!symbol) {
        symbol = { symbol: trade.symbol, trades: 0, buys: 0, buy_notional: 0, quantity: 0, notional: 0, last_price: "" };
        this.symbols.set(trade.symbol, symbol);
        this.updateSuggestions();
      }
      symbol.trades += 1;
      symbol.buys += buys ? 1 : 0;
      symbol.buy_notional += buys ? price * quantity : 0;
      symbol.quantity += quantity;
      symbol.notional += price * quantity;
      symbol.last_price = trade.price;
      this.selected ??= trade.symbol;
      if (trade.symbol === this.selected) {
        this.chart.add(Math.floor(time / this.step) * this.step, price, quantity, buys);
      }
    }
  }

  draw() {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.chart.draw();
    const rows = Array.from(this.symbols.values()).sort((a, b) => b.notional - a.notional);
    /** @param {"trades" | "notional" | "buy_notional"} name */
    const sum = (name) => rows.reduce((total, row) => total + row[name], 0);
    const [trades, notional, bought] = [sum("trades"), sum("notional"), sum("buy_notional")];
    setText("tile-trades", (this.complete ? "" : "over ") + formatCount(trades));
    setText("tile-notional", formatAmount(notional));
    setText("tile-rate", this.rate().toFixed(1));
    const share = notional ? bought / notional : 0.5;
    setText("tile-share", notional ? `${formatShare(share)} / ${formatShare(1 - share)}` : "none yet");
    byId("tile-meter", HTMLMeterElement).value = share;
    this.drawSymbols(rows.slice(0, ROWS));
    const selected = this.symbols.get(this.selected ?? "");
    setText("chart-symbol", this.selected ?? "Price");
    setText("chart-price", selected?.last_price ?? "");
    this.onPrice(selected ? `${selected.last_price} ${selected.symbol}` : "");
    const minutes = this.window / 60;
    byId("chart", HTMLElement).ariaLabel = selected
      ? `${this.selected}: last price ${selected.last_price}, ${formatCount(selected.trades)} trades in ${minutes} minutes`
      : `Price chart, no trades in the last ${minutes} minutes`;
    this.section.hidden = byId("tiles", HTMLElement).hidden = false;
  }

  // Trades per second over the last RATE_SECONDS, or since the page was opened.
  rate() {
    const now = this.now();
    // A heartbeat sets the clock up to a second late. Times beyond that are from a clock that was fast.
    this.acceptedTimes = this.acceptedTimes.filter((time) => time > now - RATE_SECONDS && time < now + 1);
    const known = Math.max(1, (performance.now() - this.openedAt) / 1000, now - (this.acceptedTimes[0] ?? Infinity));
    return this.acceptedTimes.length / Math.min(RATE_SECONDS, known);
  }

  /** @param {SymbolTotals[]} rows */
  drawSymbols(rows) {
    // Rows are reused, so that a click or the focus is not lost.
    while (this.body.rows.length > rows.length) this.body.deleteRow(-1);
    rows.forEach((each, index) => {
      const row = this.body.rows[index] ?? this.makeRow();
      const button = /** @type {HTMLButtonElement} */ (row.cells[0].firstChild);
      const texts = [each.last_price, formatCount(each.trades), formatAmount(each.notional),
        formatShare(each.notional ? each.buy_notional / each.notional : 0)];
      if (button.dataset.symbol !== each.symbol) button.textContent = button.dataset.symbol = each.symbol;
      button.ariaPressed = String(each.symbol === this.selected);
      row.classList.toggle("selected", each.symbol === this.selected);
      texts.forEach((text, cell) => {
        if (row.cells[cell + 1].textContent !== text) row.cells[cell + 1].textContent = text;
      });
    });
  }

  makeRow() {
    const row = this.body.insertRow();
    row.insertCell().append(makeElement("button", "", { class: "symbol", type: "button" }));
    for (let cell = 0; cell < 4; cell += 1) row.insertCell().className = "number";
    return row;
  }

  updateSuggestions() {
    const options = Array.from(this.symbols.keys()).sort().map((value) => makeElement("option", undefined, { value }));
    byId("known-symbols", HTMLElement).replaceChildren(...options);
  }
}

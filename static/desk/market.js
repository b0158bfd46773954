// The market over the last 15 minutes: tiles, symbols and one symbol's chart, read from /market and updated live.
import { Chart } from "./chart.js";
import { formatAmount, formatCount, formatShare, makeElement } from "./format.js";

const STEP_SECONDS = 5;
const WINDOW_SECONDS = 900;
const RATE_SECONDS = 5;
const RELOAD_MS = 30_000;
const REDRAW_MS = 250;
const ROWS = 100;
// Trades kept to apply to a summary that was computed before they were accepted.
const RECENT_TRADES = 5000;

const byId = (id) => document.getElementById(id);

export class Market {
  constructor() {
    this.symbols = new Map();
    this.acceptedTimes = [];
    this.recentTrades = [];
    this.openedAt = performance.now();
    this.selected = null;
    this.chart = new Chart(byId("chart"), STEP_SECONDS);
    this.body = byId("symbols").tBodies[0];
    this.body.addEventListener("click", (event) => {
      const symbol = event.target.closest("button")?.dataset.symbol;
      if (symbol) this.load(symbol);
    });
    // Only a new summary drops the trades that have left the window.
    setInterval(() => { if (!document.hidden) this.load(this.selected); }, RELOAD_MS);
    setInterval(() => { if (!document.hidden) this.draw(); }, 1000);
  }

  // Reads the summary, and returns the seq of the last trade in it; undefined when none could be read yet.
  async load(symbol) {
    const query = new URLSearchParams({ window: WINDOW_SECONDS, step: STEP_SECONDS, ...(symbol && { symbol }) });
    let summary;
    try {
      const response = await fetch(`market?${query}`);
      if (!response.ok) return this.lastSeq;
      summary = await response.json();
    } catch {
      // The network or the web process is down; the next interval tries again.
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

  // The age of a trade is computed by the server's clock, since the browser's may be wrong.
  syncClock(serverTime) {
    const before = this.clockOffset;
    this.clockOffset = Date.parse(serverTime) - Date.now();
    // One of the clocks was set, so the window has moved.
    if (Math.abs(this.clockOffset - before) > STEP_SECONDS * 1000) this.load(this.selected);
  }

  // The server's time, in seconds.
  now() { return (Date.now() + (this.clockOffset ?? 0)) / 1000; }

  add(trades) {
    const since = this.now() - RATE_SECONDS;
    this.acceptedTimes.push(...trades.map((trade) => Date.parse(trade.accepted_at) / 1000).filter((time) => time > since));
    this.recentTrades = this.recentTrades.concat(trades).slice(-RECENT_TRADES);
    this.count(trades);
    this.timer ??= setTimeout(() => this.draw(), REDRAW_MS);
  }

  count(trades) {
    for (const trade of trades) {
      if (trade.seq <= this.lastSeq) continue;
      this.lastSeq = trade.seq;
      const time = Date.parse(trade.accepted_at) / 1000;
      const price = Number(trade.price);
      const quantity = Number(trade.qty);
      const buys = trade.side === "BUY";
      let symbol = this.symbols.get(trade.symbol);
      if (!symbol) {
        symbol = { symbol: trade.symbol, trades: 0, buys: 0, buy_notional: 0, quantity: 0, notional: 0 };
        this.symbols.set(trade.symbol, symbol);
        this.updateSuggestions();
      }
      symbol.trades += 1;
      symbol.buys += buys;
      symbol.buy_notional += buys ? price * quantity : 0;
      symbol.quantity += quantity;
      symbol.notional += price * quantity;
      symbol.last_price = trade.price;
      this.selected ??= trade.symbol;
      if (trade.symbol === this.selected) {
        this.chart.add(Math.floor(time / STEP_SECONDS) * STEP_SECONDS, price, quantity, buys);
      }
    }
  }

  draw() {
    clearTimeout(this.timer);
    this.timer = null;
    this.chart.draw();
    const rows = Array.from(this.symbols.values()).sort((a, b) => b.notional - a.notional);
    const sum = (name) => rows.reduce((total, row) => total + row[name], 0);
    const [trades, notional, bought] = [sum("trades"), sum("notional"), sum("buy_notional")];
    byId("tile-trades").textContent = (this.complete === false ? "over " : "") + formatCount(trades);
    byId("tile-notional").textContent = formatAmount(notional);
    byId("tile-rate").textContent = this.rate().toFixed(1);
    const share = notional ? bought / notional : 0.5;
    byId("tile-share").textContent = notional ? `${formatShare(share)} / ${formatShare(1 - share)}` : "none yet";
    byId("tile-meter").value = share;
    this.drawSymbols(rows.slice(0, ROWS));
    const selected = this.symbols.get(this.selected);
    byId("chart-symbol").textContent = this.selected ?? "Price";
    byId("chart-price").textContent = selected?.last_price ?? "";
    byId("chart").setAttribute("aria-label", selected
      ? `${this.selected}: last price ${selected.last_price}, ${formatCount(selected.trades)} trades in 15 minutes`
      : "Price chart, no trades in the last 15 minutes");
    byId("market").hidden = byId("tiles").hidden = false;
  }

  // Trades per second over the last RATE_SECONDS, or since the page was opened.
  rate() {
    const now = this.now();
    // A heartbeat sets the clock up to a second late. Times beyond that are from a clock that was fast.
    this.acceptedTimes = this.acceptedTimes.filter((time) => time > now - RATE_SECONDS && time < now + 1);
    const known = Math.max(1, (performance.now() - this.openedAt) / 1000, now - (this.acceptedTimes[0] ?? Infinity));
    return this.acceptedTimes.length / Math.min(RATE_SECONDS, known);
  }

  drawSymbols(rows) {
    // Rows are reused, so that a click or the focus is not lost.
    while (this.body.rows.length > rows.length) this.body.deleteRow(-1);
    rows.forEach((each, index) => {
      const row = this.body.rows[index] ?? this.makeRow();
      const button = row.cells[0].firstChild;
      const texts = [each.last_price, formatCount(each.trades), formatAmount(each.notional),
        formatShare(each.notional ? each.buy_notional / each.notional : 0)];
      if (button.dataset.symbol !== each.symbol) button.textContent = button.dataset.symbol = each.symbol;
      button.setAttribute("aria-pressed", each.symbol === this.selected);
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
    byId("known-symbols").replaceChildren(...options);
  }
}

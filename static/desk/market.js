// The market of the last quarter of an hour: tiles, symbols and one symbol's chart, from /market and then live.
import { Chart } from "./chart.js";
import { make, writeAmount, writeCount, writeShare } from "./format.js";

const STEP = 5;
const WINDOW = 900;
const RATE_SECONDS = 5;
const EVERY_MS = 250;
const ROWS = 100;
const TAIL = 5000;

const byId = (id) => document.getElementById(id);

export class Market {
  constructor() {
    this.symbols = new Map();
    this.recent = [];
    this.tail = [];
    this.began = performance.now();
    this.chosen = null;
    this.chart = new Chart(byId("chart"), STEP);
    this.body = byId("symbols").tBodies[0];
    this.body.addEventListener("click", (event) => {
      const symbol = event.target.closest("button")?.dataset.symbol;
      if (symbol) this.load(symbol);
    });
    // The oldest trades leave the window only by asking again.
    setInterval(() => { if (!document.hidden) this.load(this.chosen); }, 30_000);
    setInterval(() => { if (!document.hidden) this.draw(); }, 1000);
  }

  // Gives the seq up to which everything is known.
  async load(symbol) {
    const asked = new URLSearchParams({ window: WINDOW, step: STEP, ...(symbol && { symbol }) });
    let stats;
    try {
      const answer = await fetch(`/market?${asked}`);
      if (!answer.ok) return this.lastSeq ?? 0;
      stats = await answer.json();
    } catch {
      // The line is down, or the web process restarts; it is asked again anyway.
      return this.lastSeq ?? 0;
    }
    this.symbols = new Map(stats.symbols.map((each) => [each.symbol, each]));
    this.chosen = stats.symbol;
    this.lastSeq = stats.last_seq;
    this.complete = stats.complete;
    this.chart.set(stats.bars);
    this.suggest();
    // What came a moment ago is not in it.
    this.count(this.tail);
    this.draw();
    return stats.last_seq;
  }

  // The server's time tells how old a trade is, whatever this machine's clock says.
  tune(at) {
    const before = this.ahead;
    this.ahead = Date.parse(at) - Date.now();
    // One of the clocks was set, so the last 15 minutes are others.
    if (Math.abs(this.ahead - before) > STEP * 1000) this.load(this.chosen);
  }

  now() { return (Date.now() + (this.ahead ?? 0)) / 1000; }

  add(trades) {
    const since = this.now() - RATE_SECONDS;
    this.recent.push(...trades.map((trade) => Date.parse(trade.accepted_at) / 1000).filter((moment) => moment > since));
    this.tail = this.tail.concat(trades).slice(-TAIL);
    this.count(trades);
    this.timer ??= setTimeout(() => this.draw(), EVERY_MS);
  }

  count(trades) {
    for (const trade of trades) {
      if (trade.seq <= this.lastSeq) continue;
      this.lastSeq = trade.seq;
      const moment = Date.parse(trade.accepted_at) / 1000;
      const price = Number(trade.price);
      const quantity = Number(trade.qty);
      const buys = trade.side === "BUY";
      let symbol = this.symbols.get(trade.symbol);
      if (!symbol) {
        symbol = { symbol: trade.symbol, trades: 0, buys: 0, buy_notional: 0, quantity: 0, notional: 0 };
        this.symbols.set(trade.symbol, symbol);
        this.suggest();
      }
      symbol.trades += 1;
      symbol.buys += buys;
      symbol.buy_notional += buys ? price * quantity : 0;
      symbol.quantity += quantity;
      symbol.notional += price * quantity;
      symbol.last_price = trade.price;
      this.chosen ??= trade.symbol;
      if (trade.symbol === this.chosen) this.chart.add(Math.floor(moment / STEP) * STEP, price, quantity, buys);
    }
  }

  draw() {
    clearTimeout(this.timer);
    this.timer = null;
    this.chart.draw();
    const rows = Array.from(this.symbols.values()).sort((a, b) => b.notional - a.notional);
    const sum = (name) => rows.reduce((total, row) => total + row[name], 0);
    const [trades, notional, bought] = [sum("trades"), sum("notional"), sum("buy_notional")];
    const since = this.now() - RATE_SECONDS;
    // A second more: it is a heartbeat that tells the server's time. What is stamped later still is of a clock that was fast.
    this.recent = this.recent.filter((moment) => moment > since && moment < this.now() + 1);
    byId("tile-trades").textContent = (this.complete === false ? "over " : "") + writeCount(trades);
    byId("tile-notional").textContent = writeAmount(notional);
    // A page that was just opened knows of less than that.
    const known = Math.max(1, (performance.now() - this.began) / 1000, this.now() - (this.recent[0] ?? Infinity));
    const watched = Math.min(RATE_SECONDS, known);
    byId("tile-rate").textContent = (this.recent.length / watched).toFixed(1);
    const share = notional ? bought / notional : 0.5;
    byId("tile-share").textContent = notional ? `${writeShare(share)} / ${writeShare(1 - share)}` : "none yet";
    byId("tile-meter").value = share;
    this.list(rows.slice(0, ROWS));
    const chosen = this.symbols.get(this.chosen);
    byId("chart-symbol").textContent = this.chosen ?? "Price";
    byId("chart-price").textContent = chosen?.last_price ?? "";
    byId("chart").setAttribute("aria-label", chosen
      ? `${this.chosen}: last price ${chosen.last_price}, ${writeCount(chosen.trades)} trades in 15 minutes`
      : "Price chart, without trades in the last 15 minutes");
    byId("market").hidden = byId("tiles").hidden = false;
  }

  list(rows) {
    // Rows are changed and not made anew, so that a click or the focus is not lost.
    while (this.body.rows.length > rows.length) this.body.deleteRow(-1);
    rows.forEach((each, place) => {
      const row = this.body.rows[place] ?? this.makeRow();
      const button = row.cells[0].firstChild;
      const texts = [each.last_price, writeCount(each.trades), writeAmount(each.notional),
        writeShare(each.notional ? each.buy_notional / each.notional : 0)];
      if (button.dataset.symbol !== each.symbol) button.textContent = button.dataset.symbol = each.symbol;
      button.setAttribute("aria-pressed", each.symbol === this.chosen);
      row.classList.toggle("chosen", each.symbol === this.chosen);
      texts.forEach((text, cell) => {
        if (row.cells[cell + 1].textContent !== text) row.cells[cell + 1].textContent = text;
      });
    });
  }

  makeRow() {
    const row = this.body.insertRow();
    const first = row.insertCell();
    first.append(make("button", "", { type: "button" }));
    for (let cell = 0; cell < 4; cell += 1) row.insertCell().className = "number";
    return row;
  }

  suggest() {
    const list = byId("known-symbols");
    list.replaceChildren(...Array.from(this.symbols.keys()).sort().map((value) => make("option", undefined, { value })));
  }
}


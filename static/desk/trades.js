// @ts-check
// The list of recent trades: newest first, at most ROWS rows. A row is a clone of the page's template.
import { TradeFilter } from "./filter.js";
import { Hold } from "./hold.js";
import { byId, request, writeText } from "./page.js";
import { Redraw } from "./redraw.js";
import { splitTime } from "./zone.js";
/** @import { Trade, TypedTrade } from "./types.d.ts" */
/** @import { Zone } from "./zone.js" */

const ROWS = 50;
const REDRAW_MS = 100;
// Trades that are read for a filter; the server does not filter by quantity.
const READ = 500;
// Rows that are put before the others, and marked, as they arrive. More at once would only flicker: then all rows are written anew.
const MARKED = 10;

/** @param {HTMLTimeElement} part @param {string} at @param {Zone} zone */
const fillTime = (part, at, zone) => {
  const { date, time } = splitTime(at, zone);
  part.title = at;
  /** @type {Text} */ (part.childNodes[0]).data = `${date} `;
  writeText(/** @type {Element} */ (part.childNodes[1]), time);
};

export class TradeList {
  /**
   * `news` says how many trades wait while the list is held, and shows them; `pause` holds it.
   * @param {{
   *   table: HTMLTableElement, template: HTMLTemplateElement, empty: HTMLElement, news: HTMLButtonElement, pause: HTMLButtonElement,
   * }} parts
   */
  constructor({ table, template, empty, news, pause }) {
    this.template = template;
    this.address = template.content.querySelector("a")?.href ?? "";
    this.table = table;
    this.body = table.tBodies[0];
    this.empty = empty;
    this.news = news;
    this.pause = pause;
    /** @type {Trade[]} */
    this.queue = [];
    this.waiting = 0;
    this.paused = false;
    /** @type {Zone} */
    this.zone = "utc";
    /** @type {WeakMap<HTMLTableRowElement, Trade>} What was written in each row that a script made. */
    this.written = new WeakMap();
    this.shown = new Set(Array.from(this.body.rows, (row) => Number(row.dataset.seq)));
    this.filter = new TradeFilter(() => this.refill());
    this.redraw = new Redraw(() => this.draw(), REDRAW_MS);
    this.hold = new Hold(table, () => this.draw());
    this.none = byId("trades-none", HTMLElement);
    if (this.filter.active) this.refill();
    news.addEventListener("click", () => { this.drawAll(); });
    pause.hidden = false;
    pause.addEventListener("click", () => {
      this.paused = !this.paused;
      pause.ariaPressed = String(this.paused);
      pause.textContent = this.paused ? "Resume" : "Pause";
      this.draw();
    });
  }

  /** @param {Zone} zone */
  setZone(zone) {
    this.zone = zone;
    for (const time of this.body.querySelectorAll("time")) fillTime(time, time.title, zone);
  }

  /** @param {Trade[]} trades */
  add(trades) {
    // A trade may arrive twice, by the feed and by the form's response or with the page, in either order.
    const unknown = trades.filter((trade) => !this.shown.has(trade.seq) && this.filter.accepts(trade));
    this.waiting += unknown.length;
    this.queue = this.queue.concat(unknown).slice(-ROWS);
    this.redraw.ask();
  }

  /** Lists the newest trades that the filter accepts. */
  async refill() {
    const wanted = { ...this.filter.wanted };
    const trades = await this.read();
    // The newest choice wins over a late answer.
    if (JSON.stringify(wanted) !== JSON.stringify(this.filter.wanted)) return;
    this.none.textContent = trades ? "No trade matches the filter." : "No answer: the filter is applied to new trades only.";
    // What arrived meanwhile is in the queue.
    const all = [...(trades ?? []), ...this.queue];
    this.body.replaceChildren();
    this.shown.clear();
    this.queue = [];
    this.add(all);
    this.drawAll();
  }

  /** Reads the newest trades that the filter may accept; nothing when there is no answer. @returns {Promise<Trade[] | undefined>} */
  async read() {
    try {
      const query = new URLSearchParams({ ...this.filter.query, limit: String(READ) });
      const response = await request(`${this.table.dataset.trades}?${query}`);
      return response.ok ? (await response.json()).trades : undefined;
    } catch {
      return undefined;
    }
  }

  draw() {
    if (!this.paused && !this.hold.held) this.drawAll();
    this.news.hidden = !this.waiting;
    this.news.textContent = `${this.waiting} new`;
  }

  drawAll() {
    this.waiting = 0;
    this.news.hidden = true;
    const arrived = this.queue.splice(0).filter(({ seq }) => !this.shown.has(seq) && this.shown.add(seq));
    if (arrived.length) this.show();
    if (arrived.length <= MARKED || !this.rewrite(arrived)) for (const trade of arrived) this.insert(trade, arrived.length <= MARKED);
    this.none.hidden = !this.filter.active || this.body.rows.length > 0;
    while (this.body.rows.length > ROWS) {
      const last = this.body.rows[this.body.rows.length - 1];
      this.shown.delete(Number(last.dataset.seq));
      last.remove();
    }
  }

  /** @param {Trade} trade @param {boolean} marked */
  insert(trade, marked) {
    const row = this.makeRow(trade, marked);
    row.dataset.seq = String(trade.seq);
    this.written.set(row, trade);
    this.body.insertBefore(row, this.findOlder(trade.seq));
  }

  /**
   * Writes many trades into the rows that are there, which takes the browser a fraction of what new rows take. Returns false when one
   * of the rows is the server's.
   * @param {Trade[]} arrived
   */
  rewrite(arrived) {
    const rows = Array.from(this.body.rows).filter((row) => row.dataset.seq);
    const listed = [];
    for (const row of rows) {
      const trade = this.written.get(row);
      if (!trade) return false;
      listed.push(trade);
    }
    const trades = [...arrived, ...listed].sort((a, b) => b.seq - a.seq);
    rows.forEach((row, index) => {
      const trade = trades[index];
      row.className = "";
      row.dataset.seq = String(trade.seq);
      for (const part of row.querySelectorAll("[data-field]")) this.fill(part, trade);
      this.written.set(row, trade);
    });
    for (const trade of trades.slice(rows.length, ROWS)) this.insert(trade, false);
    for (const { seq } of trades.slice(ROWS)) this.shown.delete(seq);
    return true;
  }

  /** @param {number} seq */
  findOlder(seq) {
    for (const row of this.body.rows) if (Number(row.dataset.seq) < seq) return row;
    return null;
  }

  /**
   * Shows a trade that is sent but not accepted yet. `settle` replaces it with the accepted event, or removes it.
   * @param {TypedTrade} trade
   */
  addPending(trade) {
    const row = this.makeRow({ ...trade, ts: new Date().toISOString() });
    row.cells[0].textContent = "sending";
    row.classList.add("pending");
    this.show();
    this.body.prepend(row);
    return {
      /** @param {string} status */
      setStatus: (status) => { row.cells[0].textContent = status; },
      /** @param {Trade | null} event */
      settle: (event) => {
        row.remove();
        if (event) { this.add([event]); this.draw(); }
      },
    };
  }

  show() { this.table.hidden = false; this.empty.hidden = true; }

  /** @param {Trade | TypedTrade} trade @param {boolean} [marked] */
  makeRow(trade, marked = true) {
    const row = this.template.content.querySelector("tr")?.cloneNode(true);
    if (!(row instanceof HTMLTableRowElement)) throw new Error("the template has no row");
    row.className = marked ? "new" : "";
    for (const part of row.querySelectorAll("[data-field]")) this.fill(part, trade);
    return row;
  }

  /** @param {Element} part @param {Record<string, string | number | null>} trade */
  fill(part, trade) {
    if (!(part instanceof HTMLElement)) return;
    const text = String(trade[part.dataset.field ?? ""] ?? "");
    if (part instanceof HTMLTimeElement) {
      fillTime(part, text, this.zone);
      return;
    }
    writeText(part, text);
    if (part instanceof HTMLAnchorElement) part.href = this.address + trade.id;
    if (part.localName === "span") part.className = `side side-${text.toLowerCase()}`;
  }
}

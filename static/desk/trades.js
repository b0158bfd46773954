// @ts-check
// The list of recent trades: newest first, at most ROWS rows. A row is a clone of the page's template.
/** @import { Trade, TypedTrade } from "./types.d.ts" */

const ROWS = 50;
const REDRAW_MS = 100;

/** @param {Element} part @param {Record<string, string | number | null>} trade */
const fill = (part, trade) => {
  if (!(part instanceof HTMLElement)) return;
  const text = String(trade[part.dataset.field ?? ""] ?? "");
  if (part instanceof HTMLTimeElement) {
    const [date, clock] = part.childNodes;
    part.title = text;
    date.textContent = `${text.slice(0, 10)} `;
    clock.textContent = text.slice(11, Number(part.dataset.clockEnd));
    return;
  }
  part.textContent = text;
  if (part instanceof HTMLAnchorElement) part.href += trade.id;
  if (part.localName === "span") part.classList.add(`side-${text.toLowerCase()}`);
};

export class TradeList {
  /** @param {HTMLTableElement} table @param {HTMLTemplateElement} template @param {HTMLElement} empty */
  constructor(table, template, empty) {
    this.template = template;
    this.table = table;
    this.body = table.tBodies[0];
    this.empty = empty;
    /** @type {Trade[]} */
    this.queue = [];
    this.shown = new Set(Array.from(this.body.rows, (row) => Number(row.dataset.seq)));
    /** @type {number | undefined} */
    this.timer = undefined;
  }

  /** @param {Trade[]} trades */
  add(trades) {
    this.queue.push(...trades.slice(-ROWS));
    this.queue = this.queue.slice(-ROWS);
    this.timer ??= setTimeout(() => this.draw(), REDRAW_MS);
  }

  draw() {
    this.timer = undefined;
    // A trade may arrive twice, by the feed and by the form's response, in either order.
    for (const trade of this.queue.splice(0)) {
      if (this.shown.has(trade.seq)) continue;
      const older = Array.from(this.body.rows).find((row) => Number(row.dataset.seq) < trade.seq);
      const row = this.makeRow(trade);
      row.dataset.seq = String(trade.seq);
      this.shown.add(trade.seq);
      this.body.insertBefore(row, older ?? null);
      this.show();
    }
    while (this.body.rows.length > ROWS) {
      const last = this.body.rows[this.body.rows.length - 1];
      this.shown.delete(Number(last.dataset.seq));
      last.remove();
    }
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

  /** @param {Trade | TypedTrade} trade */
  makeRow(trade) {
    const row = this.template.content.querySelector("tr")?.cloneNode(true);
    if (!(row instanceof HTMLTableRowElement)) throw new Error("the template has no row");
    row.className = "new";
    for (const part of row.querySelectorAll("[data-field]")) fill(part, trade);
    return row;
  }
}

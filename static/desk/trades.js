// @ts-check
// The list of recent trades: newest first, at most ROWS rows. A row is a clone of the page's template.
import { splitTime } from "./zone.js";
/** @import { Trade, TypedTrade } from "./types.d.ts" */
/** @import { Zone } from "./zone.js" */

const ROWS = 50;
const REDRAW_MS = 100;

/** @param {HTMLTimeElement} part @param {string} at @param {Zone} zone */
const fillTime = (part, at, zone) => {
  const { date, time } = splitTime(at, zone);
  part.title = at;
  part.childNodes[0].textContent = `${date} `;
  part.childNodes[1].textContent = time;
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
    this.table = table;
    this.body = table.tBodies[0];
    this.empty = empty;
    this.news = news;
    this.pause = pause;
    /** @type {Trade[]} */
    this.queue = [];
    this.waiting = 0;
    this.pointed = false;
    this.paused = false;
    /** @type {Zone} */
    this.zone = "utc";
    this.shown = new Set(Array.from(this.body.rows, (row) => Number(row.dataset.seq)));
    /** @type {number | undefined} */
    this.timer = undefined;
    this.hold();
  }

  // While someone points at the list, has the focus in it or selects in it, no row moves.
  hold() {
    const { table, news, pause } = this;
    table.addEventListener("pointerenter", ({ pointerType }) => { this.pointed = pointerType === "mouse"; });
    table.addEventListener("pointerleave", () => { this.pointed = false; this.draw(); });
    table.addEventListener("focusout", () => setTimeout(() => this.draw()));
    document.addEventListener("selectionchange", () => { if (this.waiting && !this.held) this.draw(); });
    news.addEventListener("click", () => { this.drawAll(); });
    pause.hidden = false;
    pause.addEventListener("click", () => {
      this.paused = !this.paused;
      pause.ariaPressed = String(this.paused);
      pause.textContent = this.paused ? "Resume" : "Pause";
      this.draw();
    });
  }

  get held() {
    const selection = getSelection();
    const selected = selection && !selection.isCollapsed && selection.containsNode(this.body, true);
    return this.paused || this.pointed || selected || this.body.contains(document.activeElement);
  }

  /** @param {Zone} zone */
  setZone(zone) {
    this.zone = zone;
    for (const time of this.body.querySelectorAll("time")) fillTime(time, time.title, zone);
  }

  /** @param {Trade[]} trades */
  add(trades) {
    // A trade may arrive twice, by the feed and by the form's response or with the page, in either order.
    const unknown = trades.filter(({ seq }) => !this.shown.has(seq));
    this.waiting += unknown.length;
    this.queue = this.queue.concat(unknown).slice(-ROWS);
    this.timer ??= setTimeout(() => this.draw(), REDRAW_MS);
  }

  draw() {
    this.timer = undefined;
    if (!this.held) this.drawAll();
    this.news.hidden = !this.waiting;
    this.news.textContent = `${this.waiting} new`;
  }

  drawAll() {
    this.waiting = 0;
    this.news.hidden = true;
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
    part.textContent = text;
    if (part instanceof HTMLAnchorElement) part.href += trade.id;
    if (part.localName === "span") part.classList.add(`side-${text.toLowerCase()}`);
  }
}

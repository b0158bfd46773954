// @ts-check
// What is held, from /positions: asked for after trades, since average cost is exact only in the sidecar.
import { formatSigned } from "./format.js";
import { byId, makeElement, request, setText, writeText } from "./page.js";
import { Redraw } from "./redraw.js";
/** @import { Position, Positions } from "./types.d.ts" */

const REFRESH_MS = 1000;
// Of the time, what requests may take: an answer with many positions is asked for less often.
const SHARE = 0.1;
const RETRY_MS = 5000;
const ROWS = 50;
const QUOTES = 3;

export class Holdings {
  constructor() {
    this.card = byId("holdings", HTMLElement);
    this.body = this.card.getElementsByTagName("tbody")[0];
    /** @type {Position[] | undefined} Undefined while the sidecar does not answer. */
    this.positions = undefined;
    this.redraw = new Redraw(() => this.draw(), 0);
    /** The newest trade that the table should have. */
    this.wantedSeq = 0;
    this.isOff = false;
    /** @type {number | undefined} */
    this.timer = undefined;
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.ask(); });
    this.ask();
  }

  /** @param {number} [seq] of a trade that was accepted */
  ask(seq = 0) {
    this.wantedSeq = Math.max(this.wantedSeq, seq);
    if (!this.isOff) this.timer ??= setTimeout(() => this.load(), 0);
  }

  async load() {
    const started = performance.now();
    const answer = document.hidden ? undefined : await this.read();
    if (answer) {
      this.positions = answer.positions;
      this.redraw.ask();
    }
    const took = performance.now() - started;
    // `timer` stays set until then, so that trades that arrive meanwhile ask once.
    setTimeout(() => {
      this.timer = undefined;
      if (!document.hidden && (!answer || answer.last_seq < this.wantedSeq)) this.ask();
    }, answer ? Math.max(REFRESH_MS, took / SHARE) : RETRY_MS);
  }

  /** @returns {Promise<Positions | undefined>} */
  async read() {
    try {
      const response = await request(this.card.dataset.url ?? "", { headers: { Accept: "application/json" } });
      if (response.ok) return await response.json();
      this.isOff = response.status === 404;
    } catch {
      // The network or the web process is down, which the status says.
    }
    // Old positions would look like the current ones.
    this.positions = undefined;
    this.card.hidden = this.isOff;
    byId("holdings-table", HTMLElement).hidden = true;
    setText("holdings-note", "not known: the sidecar does not answer");
    return undefined;
  }

  draw() {
    if (!this.positions) return;
    const all = this.positions.filter((row) => row.source === null);
    const held = all.filter((row) => row.quantity !== "0");
    const rows = held.slice(0, ROWS);
    while (this.body.rows.length > rows.length) this.body.deleteRow(-1);
    rows.forEach((position, index) => { fill(this.body.rows[index] ?? this.body.appendChild(makeRow()), position); });
    /** @type {Map<string, number>} */
    const realised = new Map();
    for (const row of all) realised.set(row.quote, (realised.get(row.quote) ?? 0) + Number(row.realized_pnl));
    // Amounts of different currencies are not added up.
    const largest = Array.from(realised).filter(([, sum]) => sum).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).slice(0, QUOTES);
    const notes = [largest.length ? `realised ${largest.map(([quote, sum]) => `${formatSigned(sum)} ${quote}`).join(" · ")}` : "",
      held.length > ROWS ? `${held.length - ROWS} more` : "", all.length && !held.length ? "nothing is held" : ""];
    setText("holdings-note", notes.filter(Boolean).join(", "));
    byId("holdings-table", HTMLElement).hidden = held.length === 0;
    this.card.hidden = all.length === 0;
  }
}

const makeRow = () => {
  const row = makeElement("tr");
  row.append(...["symbol", "number", "number wide", "number", "number"].map((name) => makeElement("td", undefined, { class: name })));
  return row;
};

/** @param {HTMLTableRowElement} row @param {Position} position */
const fill = (row, { symbol, quantity, average_price: price, unrealized_pnl: open, realized_pnl: closed, quote }) => {
  const titles = [symbol, quantity, price ?? "", open ?? "0", closed];
  titles.forEach((title, index) => {
    const cell = row.cells[index];
    cell.title = title;
    writeText(cell, index < 3 ? title : `${formatSigned(Number(title))} ${quote}`);
    if (index >= 3) cell.className = title === "0" ? "number" : title.startsWith("-") ? "number down" : "number up";
  });
};

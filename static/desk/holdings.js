// @ts-check
// What is held, from /positions: asked for after trades, since average cost is exact only in the sidecar.
import { formatSigned } from "./format.js";
import { Hold } from "./hold.js";
import { linkToAll } from "./links.js";
import { byId, makeElement, request, writeText } from "./page.js";
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
    /** @type {Position[]} */
    this.held = [];
    this.hold = new Hold(/** @type {HTMLTableElement} */ (this.body.parentElement), () => this.show());
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
    showNote("not known: the sidecar does not answer");
    return undefined;
  }

  /** Shows what is held; while the table is held, the rows that are shown stay where they are. */
  show() {
    const rows = Array.from(this.body.rows);
    const isHeld = this.hold.held && rows.length > 0;
    if (this.hold.selected) return;
    const known = new Map(this.held.map((each) => [each.symbol, each]));
    const shown = isHeld ? rows.map((row) => known.get(row.cells[0].title)) : this.held;
    while (this.body.rows.length > shown.length) this.body.deleteRow(-1);
    shown.forEach((each, index) => {
      const row = this.body.rows[index] ?? this.body.appendChild(makeRow());
      if (each) fill(row, each);
    });
  }

  draw() {
    if (!this.positions) return;
    const all = this.positions.filter((row) => row.source === null);
    const held = all.filter((row) => row.quantity !== "0");
    this.held = held.slice(0, ROWS);
    this.show();
    /** @type {Map<string, number>} */
    const realised = new Map();
    for (const row of all) realised.set(row.quote, (realised.get(row.quote) ?? 0) + Number(row.realized_pnl));
    // Amounts of different currencies are not added up.
    const largest = Array.from(realised).filter(([, sum]) => sum).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).slice(0, QUOTES);
    const notes = [largest.length ? `realised ${largest.map(([quote, sum]) => `${formatSigned(sum)} ${quote}`).join(" · ")}` : "",
      held.length > ROWS ? `${held.length - ROWS} more` : "", all.length && !held.length ? "nothing is held" : ""];
    showNote(notes.filter(Boolean).join(", "));
    byId("holdings-table", HTMLElement).hidden = held.length === 0;
    this.card.hidden = all.length === 0;
  }
}

/** @param {string} text */
const showNote = (text) => {
  const note = byId("holdings-note", HTMLElement);
  note.hidden = !text;
  writeText(note, text);
};

/** @param {HTMLTableRowElement} row @param {Position} position */
const fill = (row, { symbol, quote, quantity, average_price: average, unrealized_pnl: unrealised, realized_pnl: realised }) => {
  row.cells[0].title = symbol;
  writeText(row.cells[0], symbol);
  const money = [unrealised ?? "0", realised];
  const texts = [quantity, average ?? "", ...money.map((text) => `${formatSigned(Number(text))} ${quote}`)];
  const whole = [quantity, average ?? "", ...money];
  texts.forEach((text, index) => {
    const cell = row.cells[index + 1];
    const link = /** @type {HTMLAnchorElement} */ (cell.firstChild);
    writeText(link, text);
    link.hidden = !text;
    cell.title = whole[index];
    // All of its trades, of any time.
    linkToAll(link, { symbol });
    if (index < 2) return;
    cell.classList.toggle("down", whole[index].startsWith("-"));
    cell.classList.toggle("up", whole[index] !== "0" && !whole[index].startsWith("-"));
  });
};

const makeRow = () => {
  const row = makeElement("tr");
  row.append(makeElement("td", "", { class: "symbol" }));
  for (const name of ["", " wide", "", ""]) {
    const cell = makeElement("td", undefined, { class: `number${name}` });
    // One link of a row is enough for who goes through them by keyboard.
    cell.append(makeElement("a", "", { href: byId("tile-trades", HTMLAnchorElement).href, ...(row.cells.length > 1 && { tabindex: "-1" }) }));
    row.append(cell);
  }
  return row;
};

// @ts-check
// The table of symbols with its search, and the suggestions of the form.
import { formatAge, formatAmount, formatCount, formatShare } from "./format.js";
import { Hold } from "./hold.js";
import { linkTo, linkToAll } from "./links.js";
import { byId, makeElement, request, writeText } from "./page.js";
import { Totals } from "./totals.js";
/** @import { SymbolTotals } from "./types.d.ts" */

const ROWS = 100;
const SUGGESTIONS = 20;
const SEARCH_MS = 150;

export class SymbolTable {
  /** `now` is the server's time in seconds. @param {{ onSymbol: (symbol: string) => void, now: () => number }} options */
  constructor({ onSymbol, now }) {
    this.now = now;
    /** @type {SymbolTotals[]} Of the window, those with the most notional first. */
    this.symbols = [];
    /** @type {SymbolTotals[]} What the server has found in the whole journal. */
    this.found = [];
    /** @type {SymbolTotals[]} The rows, in order. */
    this.shown = [];
    /** @type {string | null} */
    this.selected = null;
    /** @type {WeakMap<HTMLTableRowElement, string[]>} What is written in each row: to read it from the page takes longer. */
    this.written = new WeakMap();
    const table = byId("symbols", HTMLTableElement);
    this.body = table.tBodies[0];
    this.hold = new Hold(table, () => this.show());
    this.news = byId("symbols-new", HTMLButtonElement);
    this.news.addEventListener("click", () => this.show(true));
    this.body.addEventListener("click", ({ target }) => {
      const button = target instanceof Element ? target.closest("button") : null;
      if (button?.dataset.symbol) onSymbol(button.dataset.symbol);
    });
    // What a link leads to is known when it is pointed at: rows change their symbols, and the window moves.
    for (const name of ["pointerover", "focusin"]) {
      this.body.addEventListener(name, ({ target }) => {
        const symbol = target instanceof HTMLAnchorElement && target.closest("tr")?.querySelector("button")?.dataset.symbol;
        if (!symbol) return;
        const link = /** @type {HTMLAnchorElement} */ (target);
        const { all, side } = link.dataset;
        (all === undefined ? linkTo : linkToAll)(link, side ? { symbol, side } : { symbol });
      });
    }
    this.search = byId("symbols-search", HTMLInputElement);
    this.search.addEventListener("input", () => this.ask());
    this.search.addEventListener("keydown", ({ key }) => {
      if (key === "Enter" && this.shown[0]) onSymbol(this.shown[0].symbol);
    });
    /** @type {number | undefined} */
    this.timer = undefined;
    byId("symbol", HTMLInputElement).addEventListener("input", ({ target }) => {
      if (target instanceof HTMLInputElement) this.suggest(target.value.toLowerCase());
    });
  }

  /** @param {SymbolTotals[]} symbols in order @param {string | null} selected */
  draw(symbols, selected) {
    this.symbols = symbols;
    this.selected = selected;
    this.show();
  }

  /** @param {string | null} symbol */
  find(symbol) { return [...this.symbols, ...this.found].find((each) => each.symbol === symbol); }

  // What is here is shown at once; the server looks through the journal.
  ask() {
    this.found = [];
    this.show(true);
    clearTimeout(this.timer);
    const search = this.search.value.trim();
    if (search) this.timer = setTimeout(() => this.read(search), SEARCH_MS);
  }

  /** @param {string} search */
  async read(search) {
    try {
      const response = await request(`${this.search.dataset.url}?${new URLSearchParams({ search, limit: String(ROWS) })}`);
      /** @type {{ symbols: { symbol: string, quote: string, last_price: string, last_at: string }[] }} */
      const { symbols } = await response.json();
      // Only the answer to what is typed now is shown.
      if (search === this.search.value.trim()) this.found = symbols.map((each) => ({ ...Totals.start(each.symbol, each.quote), ...each }));
      this.show(true);
    } catch {
      // What is here stays.
    }
  }

  pick() {
    const search = this.search.value.trim().toLowerCase();
    if (!search) return this.symbols.slice(0, ROWS);
    const known = this.symbols.filter(({ symbol }) => symbol.toLowerCase().includes(search));
    const names = new Set(known.map(({ symbol }) => symbol));
    return [...known, ...this.found.filter(({ symbol }) => !names.has(symbol))].slice(0, ROWS);
  }

  /** Shows what there is; while the table is held, the rows that are shown stay where they are. @param {boolean} [all] */
  show(all = false) {
    let rows = this.pick();
    const { held } = this.hold;
    if (held && !all) {
      const known = new Map([...this.symbols, ...this.found].map((each) => [each.symbol, each]));
      const names = new Set(this.shown.map(({ symbol }) => symbol));
      this.sayNew(rows.filter(({ symbol }) => !names.has(symbol)).length);
      rows = this.shown.map((each) => known.get(each.symbol) ?? each);
    } else {
      this.sayNew(0);
    }
    this.shown = rows;
    // To write in what is selected would lose the selection.
    if (this.hold.selected) return;
    // Rows are reused, so that a click or the focus is not lost.
    while (this.body.rows.length > rows.length) this.body.deleteRow(-1);
    rows.forEach((each, index) => { this.fill(this.body.rows[index] ?? this.makeRow(), each); });
  }

  /** @param {number} count */
  sayNew(count) {
    this.news.hidden = !count;
    this.news.textContent = `${count} new`;
  }

  /** @param {HTMLTableRowElement} row @param {SymbolTotals} symbol */
  fill(row, symbol) {
    const age = symbol.last_at ? formatAge(Math.max(0, this.now() * 1000 - Date.parse(symbol.last_at)), true) : "";
    const traded = symbol.trades > 0;
    const selected = symbol.symbol === this.selected;
    const texts = [symbol.symbol, symbol.last_price, age, formatCount(symbol.trades),
      traded ? `${formatAmount(symbol.notional)} ${symbol.quote}`.trim() : "", traded ? formatShare(symbol.buy_notional / (symbol.notional || 1)) : ""];
    const written = this.written.get(row);
    this.written.set(row, texts);
    texts.forEach((text, cell) => {
      if (text === written?.[cell]) return;
      const part = /** @type {HTMLElement} */ (row.cells[cell].firstElementChild ?? row.cells[cell]);
      writeText(part, text);
      if (cell) part.hidden = !text;
      else part.dataset.symbol = text;
    });
    row.classList.toggle("quiet", !traded);
    if (row.classList.contains("selected") === selected && written) return;
    row.classList.toggle("selected", selected);
    /** @type {HTMLElement} */ (row.cells[0].firstChild).ariaPressed = String(selected);
  }

  makeRow() {
    const row = this.body.insertRow();
    row.insertCell().append(makeElement("button", "", { class: "symbol", type: "button" }));
    for (const name of ["", "", " wide", "", " wide"]) row.insertCell().className = `number${name}`;
    const { href } = byId("tile-trades", HTMLAnchorElement);
    const [, last, age, trades, notional, buys] = row.cells;
    trades.append(makeElement("a", "", { href }));
    // One link of a row is enough for who goes through them by keyboard.
    const more = { href, tabindex: "-1" };
    for (const cell of [last, age]) cell.append(makeElement("a", "", { ...more, "data-all": "" }));
    notional.append(makeElement("a", "", more));
    buys.append(makeElement("a", "", { ...more, "data-side": "BUY" }));
    return row;
  }

  /** Offers the symbols that contain what is typed. @param {string} typed in lower case */
  suggest(typed) {
    const names = this.symbols.filter(({ symbol }) => symbol.toLowerCase().includes(typed)).slice(0, SUGGESTIONS);
    byId("known-symbols", HTMLElement).replaceChildren(...names.map(({ symbol }) => makeElement("option", undefined, { value: symbol })));
  }
}

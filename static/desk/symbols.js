// @ts-check
// The table of symbols, and the suggestions of the form.
import { formatAmount, formatCount, formatShare } from "./format.js";
import { byId, makeElement } from "./page.js";
/** @import { SymbolTotals } from "./types.d.ts" */

const ROWS = 100;
const SUGGESTIONS = 20;

export class SymbolTable {
  /** @param {(symbol: string) => void} onSymbol receives a symbol that was clicked */
  constructor(onSymbol) {
    /** @type {SymbolTotals[]} */
    this.symbols = [];
    /** @type {WeakMap<HTMLTableRowElement, string[]>} What is written in each row: to read it from the page takes longer. */
    this.written = new WeakMap();
    this.body = byId("symbols", HTMLTableElement).tBodies[0];
    this.body.addEventListener("click", ({ target }) => {
      const button = target instanceof Element ? target.closest("button") : null;
      if (button?.dataset.symbol) onSymbol(button.dataset.symbol);
    });
    byId("symbol", HTMLInputElement).addEventListener("input", ({ target }) => {
      if (target instanceof HTMLInputElement) this.suggest(target.value.toLowerCase());
    });
  }

  /** @param {SymbolTotals[]} symbols in order @param {string | null} selected */
  draw(symbols, selected) {
    this.symbols = symbols;
    const rows = symbols.slice(0, ROWS);
    // Rows are reused, so that a click or the focus is not lost.
    while (this.body.rows.length > rows.length) this.body.deleteRow(-1);
    rows.forEach((each, index) => { this.fill(this.body.rows[index] ?? this.makeRow(), each, each.symbol === selected); });
  }

  /** @param {HTMLTableRowElement} row @param {SymbolTotals} symbol @param {boolean} selected */
  fill(row, symbol, selected) {
    const texts = [symbol.symbol, symbol.last_price, formatCount(symbol.trades), `${formatAmount(symbol.notional)} ${symbol.quote}`.trim(),
      formatShare(symbol.notional ? symbol.buy_notional / symbol.notional : 0)];
    const written = this.written.get(row);
    this.written.set(row, texts);
    texts.forEach((text, cell) => {
      if (text === written?.[cell]) return;
      const part = cell ? row.cells[cell] : /** @type {HTMLElement} */ (row.cells[0].firstChild);
      part.textContent = text;
      if (!cell) part.dataset.symbol = text;
    });
    if (row.classList.contains("selected") === selected && written) return;
    row.classList.toggle("selected", selected);
    /** @type {HTMLElement} */ (row.cells[0].firstChild).ariaPressed = String(selected);
  }

  makeRow() {
    const row = this.body.insertRow();
    row.insertCell().append(makeElement("button", "", { class: "symbol", type: "button" }));
    for (let cell = 0; cell < 4; cell += 1) row.insertCell().className = "number";
    return row;
  }

  /** Offers the symbols that contain what is typed. @param {string} typed in lower case */
  suggest(typed) {
    const names = this.symbols.filter(({ symbol }) => symbol.toLowerCase().includes(typed)).slice(0, SUGGESTIONS);
    byId("known-symbols", HTMLElement).replaceChildren(...names.map(({ symbol }) => makeElement("option", undefined, { value: symbol })));
  }
}

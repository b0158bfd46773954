// @ts-check
// The table of symbols, and the suggestions of the form.
import { formatAmount, formatCount, formatShare } from "./format.js";
import { byId, makeElement } from "./page.js";
/** @import { SymbolTotals } from "./types.d.ts" */

const ROWS = 100;
const SUGGESTIONS = 500;

export class SymbolTable {
  /** @param {(symbol: string) => void} onSymbol receives a symbol that was clicked */
  constructor(onSymbol) {
    this.suggested = 0;
    this.body = byId("symbols", HTMLTableElement).tBodies[0];
    this.body.addEventListener("click", ({ target }) => {
      const button = target instanceof Element ? target.closest("button") : null;
      if (button?.dataset.symbol) onSymbol(button.dataset.symbol);
    });
  }

  /** @param {SymbolTotals[]} symbols in order @param {string | null} selected */
  draw(symbols, selected) {
    this.suggest(symbols);
    const rows = symbols.slice(0, ROWS);
    // Rows are reused, so that a click or the focus is not lost.
    while (this.body.rows.length > rows.length) this.body.deleteRow(-1);
    rows.forEach((each, index) => {
      const row = this.body.rows[index] ?? this.makeRow();
      const button = /** @type {HTMLButtonElement} */ (row.cells[0].firstChild);
      const texts = [each.last_price, formatCount(each.trades), `${formatAmount(each.notional)} ${each.quote}`.trim(),
        formatShare(each.notional ? each.buy_notional / each.notional : 0)];
      if (button.dataset.symbol !== each.symbol) button.textContent = button.dataset.symbol = each.symbol;
      button.ariaPressed = String(each.symbol === selected);
      row.classList.toggle("selected", each.symbol === selected);
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

  // Symbols only come, so their number tells whether there are others.
  /** @param {SymbolTotals[]} symbols */
  suggest(symbols) {
    if (this.suggested === symbols.length) return;
    this.suggested = symbols.length;
    const names = symbols.slice(0, SUGGESTIONS).map(({ symbol }) => symbol).sort();
    byId("known-symbols", HTMLElement).replaceChildren(...names.map((value) => makeElement("option", undefined, { value })));
  }
}

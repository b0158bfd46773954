// @ts-check
// The bars as a table: all values of the chart in text, the newest first. It is loaded when it is first shown.
import { trim } from "./decimal.js";
import { formatWhole } from "./format.js";
import { makeElement } from "./page.js";
import { formatSeconds } from "./zone.js";
/** @import { Bar } from "./types.d.ts" */
/** @import { Zone } from "./zone.js" */

const ROWS = 500;
const TITLES = ["Time", "Open", "High", "Low", "Close", "Volume", "Bought", "Trades"];

export class BarTable {
  /** @param {HTMLElement} box */
  constructor(box) {
    const table = makeElement("table");
    const head = table.createTHead().insertRow();
    TITLES.forEach((title, index) => { head.append(makeElement("th", title, { scope: "col", class: index ? "number" : "" })); });
    this.body = table.createTBody();
    this.caption = table.createCaption();
    box.replaceChildren(table);
    this.box = box;
  }

  /** @param {Bar[]} bars @param {Zone} zone */
  draw(bars, zone) {
    // It stands still while someone reads in it.
    if (this.body.rows.length && this.box.matches(":hover, :focus-within, :focus")) return;
    const shown = bars.slice(-ROWS).reverse();
    this.caption.textContent = `The newest ${formatWhole(shown.length)} of ${formatWhole(bars.length)} bars`;
    this.body.replaceChildren(...shown.map((bar) => {
      const row = makeElement("tr");
      const values = [bar.open, bar.high, bar.low, bar.close, trim(bar.quantity), trim(bar.buy_quantity), String(bar.trades)];
      row.append(makeElement("th", formatSeconds(bar.time, zone, true), { scope: "row" }), ...values.map((value) => makeElement("td", value, { class: "number" })));
      return row;
    }));
  }
}

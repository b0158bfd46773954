// @ts-check
// The filter of the list of trades: in the address, and so the same after Back, a reload and by link.
import { readSymbol } from "./names.js";
import { byId } from "./page.js";
/** @import { Trade } from "./types.d.ts" */

const PREFIX = "filter_";
const NAMES = /** @type {const} */ (["symbol", "side", "source", "qty"]);

export class TradeFilter {
  /** `onChange` is called when another filter was chosen. @param {() => void} onChange */
  constructor(onChange) {
    this.form = byId("trades-filter", HTMLFormElement);
    this.button = byId("trades-filter-open", HTMLButtonElement);
    this.button.hidden = false;
    this.button.addEventListener("click", () => this.open(Boolean(this.form.hidden)));
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.choose(); });
    this.form.addEventListener("change", () => this.choose());
    this.form.addEventListener("reset", () => setTimeout(() => this.choose()));
    addEventListener("popstate", () => { this.find(); this.onChange(); });
    /** @type {Record<typeof NAMES[number], string>} */
    this.wanted = { symbol: "", side: "", source: "", qty: "" };
    this.onChange = onChange;
    this.find();
    this.open(this.active > 0);
  }

  /** How many fields are filtered by. */
  get active() { return Object.values(this.wanted).filter(Boolean).length; }

  /** What the server can filter by. */
  get query() {
    const { symbol, side, source } = this.wanted;
    return { ...(symbol && { symbol }), ...(side && { side }), ...(source && { source }) };
  }

  /** @param {typeof NAMES[number]} name */
  control(name) { return /** @type {HTMLInputElement | HTMLSelectElement} */ (this.form.elements.namedItem(PREFIX + name)); }

  find() {
    const query = new URLSearchParams(location.search);
    for (const name of NAMES) this.control(name).value = query.get(PREFIX + name) ?? "";
    this.read();
  }

  read() {
    for (const name of NAMES) this.wanted[name] = this.control(name).value.trim();
    this.wanted.symbol = readSymbol(this.wanted.symbol);
    const valid = this.wanted.qty === "" || Number(this.wanted.qty) >= 0;
    this.control("qty").ariaInvalid = String(!valid);
    if (!valid) this.wanted.qty = "";
    this.button.textContent = this.active ? `Filter (${this.active})` : "Filter";
  }

  choose() {
    const before = JSON.stringify(this.wanted);
    this.read();
    if (JSON.stringify(this.wanted) === before) return;
    const query = new URLSearchParams(location.search);
    for (const name of NAMES) {
      if (this.wanted[name]) query.set(PREFIX + name, this.wanted[name]);
      else query.delete(PREFIX + name);
    }
    history.pushState(null, "", `?${query}`);
    this.onChange();
  }

  /** @param {boolean} shown */
  open(shown) {
    this.form.hidden = !shown;
    this.button.ariaExpanded = String(shown);
  }

  /** @param {Trade} trade */
  accepts(trade) {
    const { symbol, side, source, qty } = this.wanted;
    return (!symbol || trade.symbol === symbol) && (!side || trade.side === side) && (!source || trade.source === source)
      && (!qty || Number(trade.qty) >= Number(qty));
  }
}

// @ts-check
// Totals of the window, in all and by symbol: those of a summary, and the trades after it.
import { findQuote } from "./names.js";
/** @import { SymbolTotals, Trade } from "./types.d.ts" */

// Symbols that are kept; those that were not traded for longest are dropped first. The totals in all have them too.
const MOST_SYMBOLS = 2000;

export class Totals {
  /** @param {SymbolTotals[]} [symbols] @param {string[]} [currencies] the known endings of symbols */
  constructor(symbols = [], currencies = []) {
    this.currencies = currencies;
    this.symbols = new Map(symbols.map((each) => [each.symbol, each]));
    this.trades = 0;
    this.buys = 0;
    /** @type {Map<string, number>} Amounts of different currencies are not added up. */
    this.notionals = new Map();
    for (const each of symbols) if (each.trades) this.sum(each.trades, each.buys, each.quote, each.notional);
  }

  /** A symbol without trades. @param {string} symbol @param {string} quote @returns {SymbolTotals} */
  static start(symbol, quote) {
    return { symbol, quote, trades: 0, buys: 0, buy_notional: 0, quantity: 0, notional: 0, last_price: "", last_at: "" };
  }

  /** @param {number} trades @param {number} buys @param {string} quote @param {number} notional */
  sum(trades, buys, quote, notional) {
    this.trades += trades;
    this.buys += buys;
    this.notionals.set(quote, (this.notionals.get(quote) ?? 0) + notional);
  }

  /**
   * Adds a trade.
   * @param {Trade} trade @param {number} price @param {number} quantity
   */
  add(trade, price, quantity) {
    const symbol = this.symbols.get(trade.symbol) ?? Totals.start(trade.symbol, findQuote(trade.symbol, this.currencies));
    const buys = trade.side === "BUY" ? 1 : 0;
    symbol.trades += 1;
    symbol.buys += buys;
    symbol.buy_notional += buys * price * quantity;
    symbol.quantity += quantity;
    symbol.notional += price * quantity;
    symbol.last_price = trade.price;
    symbol.last_at = trade.accepted_at;
    this.sum(1, buys, symbol.quote, price * quantity);
    // A map keeps the order of insertion, so the first is the one that was not traded for longest.
    if (this.symbols.size >= MOST_SYMBOLS) this.symbols.delete(trade.symbol);
    this.symbols.set(trade.symbol, symbol);
    if (this.symbols.size > MOST_SYMBOLS) this.drop();
  }

  drop() {
    for (const name of this.symbols.keys()) { this.symbols.delete(name); return; }
  }

  /** The symbols, those with the most notional first, then those without trades as they were. */
  list() { return Array.from(this.symbols.values()).sort((a, b) => b.notional - a.notional); }
}

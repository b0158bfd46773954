// @ts-check
// The bars of one symbol in order of time, exact, and what a trade changes in them.
import { add, isAbove } from "./decimal.js";
/** @import { Bar, TimeColumn, Trade } from "./types.d.ts" */

export const MAX_BARS = 20_000;

/** The seconds of a time, without its fraction; `Date.parse` cuts what is after the milliseconds. @param {string} at */
export const readSeconds = (at) => Math.floor(Date.parse(at) / 1000);

export class Bars {
  /** @param {number} step the length of a bar in seconds @param {TimeColumn} column */
  constructor(step, column) {
    this.step = step;
    this.column = column;
    /** @type {Bar[]} */
    this.list = [];
    // The time of the newest trade, and of the bars that have to be read again, since the order in them is not known here.
    this.newestAt = "";
    this.uncertain = false;
  }

  /** The bars before the first one. @param {Bar[]} older */
  prepend(older) {
    const first = this.list[0]?.time ?? Infinity;
    this.list = [...older.filter((bar) => bar.time < first), ...this.list];
  }

  /**
   * Returns the bar that the trade is in now, and whether bars before the last one have changed.
   * @param {Trade} trade
   */
  add(trade) {
    const at = trade[this.column];
    const time = Math.floor(readSeconds(at) / this.step) * this.step;
    let moved = false;
    if (this.column === "accepted_at") {
      // Trades arrive in order of seq. Bars well after this one came from a clock that was fast, so they are removed.
      while ((this.list.at(-1)?.time ?? 0) > time + this.step) {
        this.list.pop();
        moved = true;
      }
    }
    const index = this.list.findLastIndex((bar) => bar.time <= time);
    let bar = this.list[index];
    const isNewest = this.column === "accepted_at" || at >= this.newestAt;
    if (bar?.time !== time) {
      bar = { time, open: trade.price, high: trade.price, low: trade.price, close: trade.price, quantity: "0", buy_quantity: "0", trades: 0 };
      this.list.splice(index + 1, 0, bar);
      if (this.list.length > MAX_BARS) this.list.shift();
    } else if (!isNewest) {
      this.uncertain = true;
    }
    if (isAbove(trade.price, bar.high)) bar.high = trade.price;
    if (isAbove(bar.low, trade.price)) bar.low = trade.price;
    if (isNewest) bar.close = trade.price;
    bar.quantity = add(bar.quantity, trade.qty);
    if (trade.side === "BUY") bar.buy_quantity = add(bar.buy_quantity, trade.qty);
    bar.trades += 1;
    if (at > this.newestAt) this.newestAt = at;
    return { bar, moved: moved || bar !== this.list.at(-1) };
  }
}

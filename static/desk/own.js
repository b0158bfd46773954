// @ts-check
// The trades that were sent from the form of this browser: the chart marks them.
/** @import { Trade } from "./types.d.ts" */

const KEY = "own-trades";
const KEPT = 500;

/** @typedef {Pick<Trade, "seq" | "symbol" | "side" | "ts" | "accepted_at">} OwnTrade */

/** @returns {OwnTrade[]} */
export const readOwn = () => {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(found) ? found : [];
  } catch {
    // Storage is forbidden, or holds something else.
    return [];
  }
};

/** @param {Trade} trade */
export const addOwn = ({ seq, symbol, side, ts, accepted_at }) => {
  try {
    localStorage.setItem(KEY, JSON.stringify([...readOwn(), { seq, symbol, side, ts, accepted_at }].slice(-KEPT)));
  } catch {
    // They are not remembered then.
  }
  dispatchEvent(new Event("own-trade"));
};

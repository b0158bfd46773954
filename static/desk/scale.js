// @ts-check
// The price axis: its places after the point, its range, and what it cannot show.
import { countPlaces } from "./decimal.js";
/** @import { Bar } from "./types.d.ts" */

const DIGITS = 15;
const MOST_PLACES = 18;
// Bars as far from the middle half of the prices as this many times their spread do not stretch the axis, if they are few.
const SPREADS = 8;
const LEAST_SPAN = 1e-12;
const FEWEST_BARS = 8;
const FEW = 0.05;

/** The places after the point that the data has, as far as a float holds them. @param {Bar[]} bars */
export const findPlaces = (bars) => {
  let [places, highest] = [0, 0];
  for (const { open, high, low, close } of bars) {
    places = Math.max(places, countPlaces(open), countPlaces(high), countPlaces(low), countPlaces(close));
    highest = Math.max(highest, Number(high));
  }
  const known = highest ? DIGITS - 1 - Math.floor(Math.log10(highest)) : places;
  return Math.max(0, Math.min(places, known, MOST_PLACES));
};

/** @param {Bar[]} bars */
const findEnds = (bars) => {
  const [min, max] = [Math.min(...bars.map(({ low }) => Number(low))), Math.max(...bars.map(({ high }) => Number(high)))];
  // Floats this large are far apart: without a margin the axis would have no height.
  const margin = max > Number.MAX_SAFE_INTEGER && max - min < max * LEAST_SPAN ? max * LEAST_SPAN : 0;
  return { min: min - margin, max: max + margin };
};

/**
 * The range of the axis, and the bars that are beyond it.
 * @param {Bar[]} bars @param {boolean} bounded whether outliers are left out
 */
export const findRange = (bars, bounded) => {
  const closes = bars.map((bar) => Number(bar.close)).sort((a, b) => a - b);
  const at = (/** @type {number} */ share) => closes[Math.floor((closes.length - 1) * share)];
  const spread = Math.max(at(0.75) - at(0.25), at(0.5) * 0.001) * SPREADS;
  const [lowest, highest] = [at(0.25) - spread, at(0.75) + spread];
  const beyond = bars.filter(({ low, high }) => Number(low) < lowest || Number(high) > highest);
  if (!bounded || bars.length < FEWEST_BARS || beyond.length > Math.max(1, bars.length * FEW)) return { ...findEnds(bars), beyond: [] };
  const left = new Set(beyond);
  return { ...findEnds(bars.filter((bar) => !left.has(bar))), beyond };
};

/** Whether a float cannot tell the prices of a bar apart. @param {Bar} bar */
export const isBeyondFloats = ({ high, low }) => high !== low && Number(high) === Number(low) && countPlaces(high) + countPlaces(low) > 0;

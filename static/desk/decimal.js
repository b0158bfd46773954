// @ts-check
// Exact sums and the places of decimals in text: a float keeps 15 digits of a price, the journal up to 38.

const PLACES = 18;

/** The decimal in units of its 18th place. @param {string} text */
const toUnits = (text) => {
  const [whole, fraction = ""] = text.split(".");
  return BigInt(whole + fraction.padEnd(PLACES, "0"));
};

/** Without zeros at the end. @param {string} text */
export const trim = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);

/** @param {string} one @param {string} other */
export const add = (one, other) => {
  const digits = String(toUnits(one) + toUnits(other)).padStart(PLACES + 1, "0");
  return trim(`${digits.slice(0, -PLACES)}.${digits.slice(-PLACES)}`);
};

/** Whether the first is larger. @param {string} one @param {string} other */
export const isAbove = (one, other) => toUnits(one) > toUnits(other);

/** How many places it has after the point. @param {string} text */
export const countPlaces = (text) => trim(text).split(".")[1]?.length ?? 0;

// @ts-check
// Formatting of calculated numbers. Prices and quantities of single trades are shown as sent.
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 2 });
const scientific = new Intl.NumberFormat("en", { notation: "scientific", maximumFractionDigits: 2 });
const whole = new Intl.NumberFormat("en");
const percent = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 0 });

/** @param {number} number */
export const formatCount = (number) => (number < 100_000 ? whole.format(number) : compact.format(number));
// Compact notation ends with trillions, and has two decimal places.
/** @param {number} number */
export const formatAmount = (number) => (number && (number < 0.01 || number >= 1e15) ? scientific : compact).format(number);
/** @param {number} number that may be below 0 */
export const formatSigned = (number) => (number < 0 ? "-" : "") + formatAmount(Math.abs(number));
/** @param {number} number */
export const formatShare = (number) => percent.format(number);
/** @param {number} number */
export const formatWhole = (number) => whole.format(number);
/** @param {number} ms @param {boolean} [coarse] in seconds or more */
export const formatAge = (ms, coarse = false) => {
  if (ms < 1000 && !coarse) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${Math.round(ms / 1000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  return ms < 172_800_000 ? `${Math.round(ms / 3_600_000)} h` : `${whole.format(Math.round(ms / 86_400_000))} d`;
};
const change = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 2, maximumFractionDigits: 2, signDisplay: "exceptZero" });
/** @param {number} number */
export const formatChange = (number) => change.format(number);

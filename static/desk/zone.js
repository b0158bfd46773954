// @ts-check
// Times in the zone that was chosen: UTC, or that of the browser.

/** @typedef {"utc" | "local"} Zone */

const DAY = /** @type {const} */ ({ year: "numeric", month: "2-digit", day: "2-digit" });
const CLOCK = /** @type {const} */ ({ hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat("sv", DAY);
const clock = new Intl.DateTimeFormat("sv", { ...CLOCK, fractionalSecondDigits: 3 });
const whole = new Intl.DateTimeFormat("sv", CLOCK);

/** @param {Zone} zone */
export const nameZone = (zone) => (zone === "utc" ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone);

/**
 * The date, empty while it is today, and the time of day with milliseconds.
 * @param {string} at in RFC 3339, in UTC @param {Zone} zone
 */
export const splitTime = (at, zone) => {
  const local = zone === "local" && new Date(at);
  const today = local ? day.format(new Date()) : new Date().toISOString().slice(0, 10);
  const date = local ? day.format(local) : at.slice(0, 10);
  const time = local ? clock.format(local).replace(",", ".") : at.slice(11, 23);
  return { date: date === today ? "" : date, time };
};

/** @param {number} seconds since 1970 @param {Zone} zone @param {boolean} [dated] */
export const formatSeconds = (seconds, zone, dated = false) => {
  const moment = new Date(seconds * 1000);
  const [date, time] = zone === "utc"
    ? [moment.toISOString().slice(0, 10), moment.toISOString().slice(11, 19)]
    : [day.format(moment), whole.format(moment)];
  return dated ? `${date} ${time}` : time;
};

// @ts-check
// What is chosen on the desk: in the address, so that Back, a reload and a link show the same, and remembered for the next visit.
import { byId } from "./page.js";
/** @import { TimeColumn } from "./types.d.ts" */
/** @import { Zone } from "./zone.js" */

/** `symbol` is null for the one with the most notional. @typedef {{ symbol: string | null, interval: string, window: string, time: TimeColumn, zone: Zone }} Choice */

const KEY = "desk";
const NAMES = /** @type {const} */ (["interval", "window", "time", "zone"]);
// The window that shows an interval well, for one that another interval was chosen for.
/** @type {Record<string, string>} */
const WINDOWS = { "1s": "15m", "5s": "15m", "15s": "1h", "1m": "4h", "5m": "1d", "15m": "1d", "1h": "7d", "1d": "30d" };
const MOST_BARS = 2000;
const FEWEST_BARS = 10;

export class View {
  /** @param {(choice: Choice) => void} onChange */
  constructor(onChange) {
    this.controls = {
      interval: byId("interval", HTMLSelectElement),
      window: byId("window", HTMLSelectElement),
      time: byId("time", HTMLSelectElement),
      zone: byId("zone", HTMLSelectElement),
    };
    /** @type {Choice} */
    this.standard = { symbol: null, ...this.read() };
    this.choice = this.find();
    this.write();
    for (const name of NAMES) {
      this.controls[name].addEventListener("change", () => { this.choose({ ...this.read(), symbol: this.choice.symbol }, name); });
    }
    addEventListener("popstate", () => {
      this.choice = this.find();
      this.write();
      onChange(this.choice);
    });
    this.onChange = onChange;
  }

  /** The seconds of the chosen interval and window. */
  get seconds() {
    const seconds = (/** @type {HTMLSelectElement} */ select) => Number(select.selectedOptions[0].dataset.seconds);
    return { step: seconds(this.controls.interval), window: seconds(this.controls.window) };
  }

  read() {
    const { interval, window, time, zone } = this.controls;
    return { interval: interval.value, window: window.value, time: /** @type {TimeColumn} */ (time.value), zone: /** @type {Zone} */ (zone.value) };
  }

  /** The choice of the address, else the one that is remembered, else the standard one. */
  find() {
    const query = new URLSearchParams(location.search);
    /** @type {Record<string, string | null>} */
    let found = Object.fromEntries(query);
    if (!["symbol", ...NAMES].some((name) => query.has(name))) {
      try {
        found = JSON.parse(localStorage.getItem(KEY) ?? "{}");
      } catch {
        // Storage is forbidden, or holds something else.
      }
    }
    const choice = { ...this.standard, symbol: found.symbol || null };
    for (const name of NAMES) {
      const allowed = Array.from(this.controls[name].options, (option) => option.value);
      Object.assign(choice, allowed.includes(found[name] ?? "") ? { [name]: found[name] } : {});
    }
    return choice;
  }

  /** Shows the choice in the controls, with a window that the interval fits in. @param {string} [changed] */
  write(changed) {
    for (const name of NAMES) this.controls[name].value = this.choice[name];
    const { step, window } = this.seconds;
    if (window / step <= MOST_BARS && window / step >= FEWEST_BARS) return;
    if (changed === "window") {
      this.choice.interval = Object.keys(WINDOWS).find((name) => WINDOWS[name] === this.choice.window) ?? this.choice.interval;
    } else {
      this.choice.window = WINDOWS[this.choice.interval];
    }
    for (const name of NAMES) this.controls[name].value = this.choice[name];
  }

  /** @param {Choice} choice @param {string} [changed] */
  choose(choice, changed) {
    this.choice = choice;
    this.write(changed);
    const query = new URLSearchParams(location.search);
    for (const name of /** @type {const} */ (["symbol", ...NAMES])) {
      const value = this.choice[name];
      // Most links are to times of acceptance.
      if (value === null || (name === "time" && value === this.standard.time)) query.delete(name);
      else query.set(name, value);
    }
    history.pushState(null, "", `?${query}`);
    try {
      localStorage.setItem(KEY, JSON.stringify(this.choice));
    } catch {
      // It is not remembered then.
    }
    this.onChange(this.choice);
  }

  /** @param {string} symbol */
  chooseSymbol(symbol) { this.choose({ ...this.choice, symbol }); }
}

// @ts-check
// Notices of the system about trouble and silence, for who has asked for them: one for each time, from whichever window comes first.
import { byId } from "./page.js";

// What passes by itself is not worth a notice, such as the moment after a computer slept.
const AFTER_MS = 10_000;
const KEY = "notices";

/** @param {string} name */
const recall = (name) => {
  try {
    return localStorage.getItem(name);
  } catch {
    // Storage is forbidden, so nobody has asked.
    return null;
  }
};

export class Notices {
  /** @param {{ afterMs?: number }} [options] */
  constructor({ afterMs = AFTER_MS } = {}) {
    this.afterMs = afterMs;
    /** @type {Map<string, number>} A timer for each kind that has changed. */
    this.timers = new Map();
    /** @type {Map<string, string>} */
    this.texts = new Map();
    this.button = byId("notices-ask", HTMLButtonElement);
    // Notices and locks exist in secure contexts only: HTTPS or localhost.
    if (!window.Notification || !navigator.locks) return;
    this.button.hidden = false;
    this.button.addEventListener("click", () => this.toggle());
    addEventListener("storage", ({ key }) => { if (key === KEY) this.write(); });
    this.write();
  }

  get wanted() { return recall(KEY) === "on" && Notification.permission === "granted"; }

  async toggle() {
    const on = !this.wanted && (await Notification.requestPermission()) === "granted";
    try {
      localStorage.setItem(KEY, on ? "on" : "off");
    } catch {
      // It is not remembered then.
    }
    this.write();
  }

  write() {
    this.button.textContent = this.wanted ? "Notices are on" : Notification.permission === "denied" ? "Notices are blocked by the browser" : "Notify me of trouble";
    this.button.ariaPressed = String(this.wanted);
  }

  /**
   * There is a text of a kind, or none: "".
   * @param {"trouble" | "silence"} kind @param {string} text
   */
  update(kind, text) {
    this.texts.set(kind, text);
    // What it is after a while counts.
    if (!this.timers.has(kind)) this.timers.set(kind, setTimeout(() => this.settle(kind), this.afterMs));
  }

  /** @param {"trouble" | "silence"} kind */
  async settle(kind) {
    this.timers.delete(kind);
    const text = this.texts.get(kind) ?? "";
    const key = `${KEY}-${kind}`;
    const isSaid = () => {
      const said = recall(key) ?? "";
      // Trouble in other words is the same trouble; another source that is silent is news.
      return kind === "trouble" ? Boolean(said) === Boolean(text) : said === text;
    };
    if (!this.wanted || isSaid()) return;
    // All windows come here; the lock lets one of them after the other ask whether it was said.
    await navigator.locks.request(key, () => {
      if (isSaid()) return;
      if (text) localStorage.setItem(key, text);
      else localStorage.removeItem(key);
      this.show(kind, text || (kind === "trouble" ? "All systems operational" : "No source is silent"));
    });
  }

  /** @param {string} kind @param {string} text */
  show(kind, text) {
    try {
      const notice = new Notification("Trading Telemetry", { body: text, tag: kind, icon: byId("icon", HTMLLinkElement).href });
      notice.addEventListener("click", () => { window.focus(); notice.close(); });
    } catch {
      // Android shows them for installed pages only.
      this.button.textContent = "This browser shows no notices";
    }
  }
}

// @ts-check
// The trade form, sent without leaving the page. Without JavaScript it is a plain form post.
import { enableCopy, writeCurl } from "./copy.js";
import { readSymbol } from "./names.js";
import { addOwn } from "./own.js";
import { byId, makeElement, request } from "./page.js";
import { explain, NO_ANSWER } from "./rejected.js";
/** @import { Problem, Trade, TypedTrade } from "./types.d.ts" */
/** @import { TradeList } from "./trades.js" */

const KEPT = ["symbol", "side", "qty", "source"];
const HIDDEN = ["csrf_token", "idempotency_key", "confirmed"];
const SOURCE = "source";
const NOTICE_LEAVES_MS = 6000;
const ATTEMPTS = 8;
const RETRY_MS = 1000;
// After this long without an answer the page says so.
const NOTICE_MS = 700;

/** Ends early, with an error, when the signal is aborted. @param {number} ms @param {AbortSignal} signal */
const sleep = (ms, signal) => new Promise((resolve, reject) => {
  setTimeout(resolve, ms);
  signal.addEventListener("abort", () => reject(signal.reason));
});

const newKey = () => {
  // randomUUID exists only in secure contexts: HTTPS or localhost.
  if (isSecureContext) return crypto.randomUUID();
  const hex = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
};

export class Form {
  /**
   * `onSymbol` receives a known symbol that was typed.
   * @param {HTMLFormElement} form @param {TradeList} trades @param {HTMLElement} notices @param {(symbol: string) => void} onSymbol
   */
  constructor(form, trades, notices, onSymbol) {
    this.form = form;
    this.trades = trades;
    this.notices = notices;
    this.names = Array.from(new Set(new FormData(form).keys())).filter((name) => !HIDDEN.includes(name));
    this.sending = false;
    this.symbol = byId("symbol", HTMLInputElement);
    this.renewKey();
    form.addEventListener("submit", (event) => { event.preventDefault(); this.submit(); });
    // The second click of a double click would send the fields that the first one has left.
    byId("send", HTMLButtonElement).addEventListener("click", (event) => { if (event.detail > 1) event.preventDefault(); });
    form.addEventListener("input", () => this.describe());
    this.symbol.addEventListener("change", () => {
      const known = Array.from(byId("known-symbols", HTMLDataListElement).options, ({ value }) => value);
      const typed = readSymbol(this.symbol.value.trim());
      if (known.includes(typed)) onSymbol(typed);
    });
    document.addEventListener("keydown", (event) => this.selectSide(event));
    this.recall();
    this.describe();
    enableCopy(byId("curl-copy", HTMLButtonElement), byId("curl", HTMLElement));
    this.leaveLater();
    // On a phone a keyboard would cover the page, and there is no Alt.
    if (!matchMedia("(min-width: 60.01rem) and (pointer: fine)").matches) return;
    byId("shortcuts", HTMLElement).hidden = false;
    this.symbol.focus();
  }

  /**
   * Shows the symbol that was chosen on the desk; one that is typed stays, unless the choice was made by hand.
   * @param {string | null} symbol @param {boolean} byHand
   */
  follow(symbol, byHand) {
    if (!symbol || (this.symbol.value && !byHand)) return;
    this.symbol.value = symbol;
    if (document.activeElement === this.symbol) this.symbol.select();
    this.describe();
  }

  // What the address filled in is not filled in again by a reload.
  recall() {
    const query = new URLSearchParams(location.search);
    const filled = this.names.filter((name) => name !== "symbol" && query.has(name));
    for (const name of filled) query.delete(name);
    if (filled.length) history.replaceState(history.state, "", `?${query}`);
    try {
      const source = this.getControl("source");
      source.value ||= localStorage.getItem(SOURCE) ?? "";
    } catch {
      // Storage is forbidden.
    }
  }

  renewKey() { this.getControl("idempotency_key").value = newKey(); }

  /** Says what the button sends, and the same as a command. */
  describe() {
    const { side, qty, symbol } = this.read();
    byId("send", HTMLButtonElement).textContent = [side === "SELL" ? "Sell" : "Buy", qty, readSymbol(symbol)].filter(Boolean).join(" ");
    byId("curl", HTMLElement).textContent = writeCurl(this.form.action, this.read(true));
  }

  /** @param {KeyboardEvent} event */
  selectSide(event) {
    const side = event.code === "KeyB" ? "BUY" : event.code === "KeyS" ? "SELL" : null;
    if (!side || !event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.getControl("side").value = side;
    this.describe();
  }

  /** @param {string} name */
  getControl(name) { return /** @type {HTMLInputElement | RadioNodeList} */ (this.form.elements.namedItem(name)); }

  /**
   * What is typed, without the empty fields that are optional; `example` fills those that are not.
   * @param {boolean} [example]
   */
  read(example) {
    /** @type {TypedTrade} */
    const trade = {};
    for (const name of this.names) {
      const control = this.getControl(name);
      const value = control.value.trim();
      const { required, placeholder } = control instanceof RadioNodeList ? { required: true, placeholder: "" } : control;
      if (value || required) trade[name] = value || (example ? placeholder : "");
    }
    return trade;
  }

  // What is pressed while a trade is being sent is ignored.
  async submit() {
    if (this.sending) return;
    this.sending = true;
    const trade = this.read();
    const row = this.trades.addPending(trade);
    const cancelled = new AbortController();
    try {
      const response = await this.post(cancelled, row.setStatus);
      const body = await response.json();
      row.settle(response.ok ? body : null);
      if (response.ok) this.accept(body);
      else this.reject(body, response.headers.get("X-CSRFToken"));
    } catch {
      row.settle(null);
      this.notify("failure", "alert", `${cancelled.signal.aborted ? "Cancelled" : "No answer"}: ${NO_ANSWER}`);
    }
    this.sending = false;
  }

  /**
   * Sends the form, as it is without scripts, and again while there is no answer, with the same key.
   * @param {AbortController} cancelled @param {(status: string) => void} setStatus
   */
  async post(cancelled, setStatus) {
    const { signal } = cancelled;
    const body = new URLSearchParams();
    for (const [name, value] of new FormData(this.form)) body.append(name, String(value));
    const notice = setTimeout(() => this.notifyWaiting("No answer yet (1 of", cancelled), NOTICE_MS);
    try {
      for (let attempt = 1; ; attempt += 1) {
        try {
          const response = await request(this.form.action, {
            method: "POST",
            headers: { Prefer: "return=representation" },
            body,
            signal,
          });
          if (![409, 503].includes(response.status) || attempt === ATTEMPTS) return response;
        } catch (error) {
          if (attempt === ATTEMPTS || signal.aborted) throw error;
        }
        clearTimeout(notice);
        setStatus("retrying");
        this.notifyWaiting(`Trying again (${attempt + 1} of`, cancelled);
        await sleep(RETRY_MS, signal);
      }
    } finally {
      clearTimeout(notice);
    }
  }

  /** @param {string} text @param {AbortController} cancelled */
  notifyWaiting(text, cancelled) {
    this.notify("waiting", "status", `${text} ${ATTEMPTS})`);
    const cancel = makeElement("button", "Cancel", { class: "button small", type: "button" });
    cancel.addEventListener("click", () => cancelled.abort());
    this.notices.firstElementChild?.append(" ", cancel);
  }

  /** @param {Trade} event */
  accept(event) {
    this.renewKey();
    this.getControl("confirmed").value = "";
    addOwn(event);
    this.showErrors({});
    this.notify("success", "status", `Accepted as #${event.seq}: ${event.side} ${event.qty} ${event.symbol} at ${event.price}`);
    this.leaveLater();
    try {
      localStorage.setItem(SOURCE, this.getControl("source").value.trim());
    } catch {
      // It is not remembered then.
    }
    for (const name of this.names.filter((each) => !KEPT.includes(each))) this.getControl(name).value = "";
    byId("price", HTMLInputElement).focus();
    this.describe();
  }

  /** @param {Problem} problem @param {string | null} token of a form that had none that is valid */
  reject(problem, token) {
    const errors = problem.errors ?? {};
    const { symbol, price } = this.read();
    this.getControl("confirmed").value = problem.reason === "unusual_price" ? `${symbol} ${price}` : "";
    if (problem.reason === "key_reused") this.renewKey();
    if (token) this.getControl("csrf_token").value = token;
    this.showErrors(errors);
    this.notify("failure", "alert", explain(problem), problem.detail);
    /** @type {HTMLInputElement | null} */ (this.form.querySelector(".invalid input"))?.focus();
  }

  /** @param {Record<string, string[]>} errors */
  showErrors(errors) {
    for (const name of this.names) {
      const messages = errors[name];
      byId(`${name}-error`, HTMLElement).textContent = messages?.join(" ") ?? "";
      const field = this.form.querySelector(`[name=${name}]`)?.closest(".field");
      field?.classList.toggle("invalid", Boolean(messages));
      field?.querySelector("[type=text]")?.setAttribute("aria-invalid", String(Boolean(messages)));
      if (messages) field?.closest("details")?.setAttribute("open", "");
    }
  }

  // What went well leaves by itself; what did not stays until the next one.
  leaveLater() {
    const notice = this.notices.querySelector(".success");
    if (notice) setTimeout(() => notice.remove(), NOTICE_LEAVES_MS);
  }

  /** @param {string} kind @param {string} role @param {string} text @param {string} [detail] */
  notify(kind, role, text, detail = "") {
    const notice = makeElement(role === "alert" ? "div" : "p", undefined, { class: `notice ${kind}`, role, title: detail });
    notice.append(role === "alert" ? makeElement("p", text) : text);
    if (role === "alert") {
      const close = makeElement("button", "OK", { class: "button small", type: "button" });
      close.addEventListener("click", () => notice.remove());
      notice.append(close);
    }
    this.notices.replaceChildren(notice);
    // Over the sheet too, which is in the top layer of the page.
    const floating = /** @type {HTMLElement} */ (this.notices.parentElement);
    floating.popover = "manual";
    floating.hidePopover();
    floating.showPopover();
  }
}

// @ts-check
// The trade form, sent without leaving the page. Without JavaScript it is a plain form post.
import { byId, makeElement, request } from "./page.js";
/** @import { Problem, Trade, TypedTrade } from "./types.d.ts" */
/** @import { TradeList } from "./trades.js" */

const KEPT = ["symbol", "side", "source"];
const HIDDEN = ["csrf_token", "idempotency_key"];
const ATTEMPTS = 8;
const RETRY_MS = 1000;
// After this long without an answer the page says so.
const NOTICE_MS = 700;
const NO_ANSWER = "so it is unknown whether the trade was accepted. It is safe to send it again: it is counted only once.";

/** @param {string} text */
const shellQuote = (text) => `'${text.replaceAll("'", `'"'"'`)}'`;
/** Ends early, with an error, when the signal is aborted. @param {number} ms @param {AbortSignal} signal */
const sleep = (ms, signal) => new Promise((resolve, reject) => {
  setTimeout(resolve, ms);
  signal.addEventListener("abort", () => reject(signal.reason));
});

const newKey = () => {
  // randomUUID exists only in secure contexts: HTTPS or localhost.
  if (isSecureContext) return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
};

export class Form {
  /** @param {HTMLFormElement} form @param {TradeList} trades @param {HTMLElement} notices */
  constructor(form, trades, notices) {
    this.form = form;
    this.trades = trades;
    this.notices = notices;
    this.names = Array.from(new Set(new FormData(form).keys())).filter((name) => !HIDDEN.includes(name));
    this.sending = false;
    this.key = newKey();
    form.addEventListener("submit", (event) => { event.preventDefault(); this.submit(); });
    form.addEventListener("input", () => this.writeCurl());
    document.addEventListener("keydown", (event) => this.selectSide(event));
    byId("shortcuts", HTMLElement).hidden = false;
    this.enableCopy();
  }

  /** @param {KeyboardEvent} event */
  selectSide(event) {
    const side = event.code === "KeyB" ? "BUY" : event.code === "KeyS" ? "SELL" : null;
    if (!side || !event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.getControl("side").value = side;
    this.writeCurl();
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

  // A click while a trade is being sent is ignored, so a double click is one trade.
  async submit() {
    if (this.sending) return;
    this.sending = true;
    const trade = this.read();
    const row = this.trades.addPending(trade);
    const cancelled = new AbortController();
    try {
      const response = await this.post(trade, cancelled, row.setStatus);
      const body = await response.json();
      row.settle(response.ok ? body : null);
      if (response.ok) this.accept(body);
      else this.reject(body);
    } catch {
      row.settle(null);
      this.notify("failure", "alert", `${cancelled.signal.aborted ? "Cancelled" : "No answer"}, ${NO_ANSWER}`);
    }
    this.sending = false;
  }

  /**
   * Sends the trade, again while there is no answer, with the same key.
   * @param {TypedTrade} trade @param {AbortController} cancelled @param {(status: string) => void} setStatus
   */
  async post(trade, cancelled, setStatus) {
    const { signal } = cancelled;
    const notice = setTimeout(() => this.notifyWaiting("No answer yet (1 of", cancelled), NOTICE_MS);
    try {
      for (let attempt = 1; ; attempt += 1) {
        try {
          const response = await request(this.form.action, {
            method: "POST",
            headers: {
              "Content-Type": "application/json", "Idempotency-Key": `"${this.key}"`, "X-CSRFToken": this.getControl("csrf_token").value,
            },
            body: JSON.stringify(trade),
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
    this.key = newKey();
    this.showErrors({});
    this.notify("success", "status", `Accepted as #${event.seq}: ${event.side} ${event.qty} ${event.symbol} at ${event.price}`);
    for (const name of this.names.filter((each) => !KEPT.includes(each))) this.getControl(name).value = "";
    byId("price", HTMLInputElement).focus();
    this.writeCurl();
  }

  /** @param {Problem} problem */
  reject(problem) {
    if (problem.reason === "key_reused") this.key = newKey();
    const errors = problem.errors ?? {};
    this.showErrors(errors);
    const text = Object.keys(errors).length ? "Rejected: please look at the marked fields." : `Rejected: ${problem.detail}`;
    this.notify("failure", "alert", text);
    /** @type {HTMLInputElement | null} */ (this.form.querySelector(".invalid input"))?.focus();
  }

  /** @param {Record<string, string[]>} errors */
  showErrors(errors) {
    for (const name of this.names) {
      const messages = errors[name];
      const error = byId(`${name}-error`, HTMLElement);
      error.textContent = messages?.join(" ") ?? "";
      const field = error.parentElement;
      field?.classList.toggle("invalid", Boolean(messages));
      field?.querySelector("[type=text]")?.setAttribute("aria-invalid", String(Boolean(messages)));
      if (messages) error.closest("details")?.setAttribute("open", "");
    }
  }

  /** @param {string} kind @param {string} role @param {string} text */
  notify(kind, role, text) {
    const notice = makeElement(role === "alert" ? "div" : "p", undefined, { class: `notice ${kind}`, role });
    notice.append(role === "alert" ? makeElement("p", text) : text);
    this.notices.replaceChildren(notice);
  }

  writeCurl() {
    const body = shellQuote(JSON.stringify(this.read(true)));
    byId("curl", HTMLElement).textContent = `curl ${shellQuote(this.form.action)} -H 'Content-Type: application/json' -d ${body}`;
  }

  enableCopy() {
    const copy = byId("curl-copy", HTMLButtonElement);
    const command = byId("curl", HTMLElement);
    if (!navigator.clipboard) return;
    copy.hidden = false;
    copy.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(command.textContent ?? "");
        copy.textContent = "Copied";
      } catch {
        getSelection()?.selectAllChildren(command);
        copy.textContent = "Press Ctrl+C";
      }
      setTimeout(() => { copy.textContent = "Copy"; }, 2000);
    });
  }
}

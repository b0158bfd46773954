// The trade form, sent without leaving the page. Without JavaScript it is a plain form post.
import { makeElement, newKey } from "./format.js";

const KEPT = ["symbol", "side", "source"];
const HIDDEN = ["csrf_token", "idempotency_key"];
const ATTEMPTS = 8;
const RETRY_MS = 1000;

const shellQuote = (text) => `'${text.replaceAll("'", `'"'"'`)}'`;
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

export class Form {
  constructor(form, trades, notices) {
    this.form = form;
    this.trades = trades;
    this.notices = notices;
    this.names = [...new Set(Array.from(form.elements, (each) => each.name))].filter((name) => name && !HIDDEN.includes(name));
    this.sending = false;
    this.key = newKey();
    form.addEventListener("submit", (event) => { event.preventDefault(); this.submit(); });
    form.addEventListener("input", () => this.writeCurl());
    document.addEventListener("keydown", (event) => this.selectSide(event));
    document.getElementById("shortcuts").hidden = false;
    this.enableCopy();
  }

  selectSide(event) {
    const side = { KeyB: "BUY", KeyS: "SELL" }[event.code];
    if (!side || !event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.form.elements.side.value = side;
    this.writeCurl();
  }

  read() {
    const trade = {};
    for (const name of this.names) {
      const { value, required } = this.form.elements[name];
      if (value.trim() || required) trade[name] = value.trim();
    }
    return trade;
  }

  // A click while a trade is being sent is ignored, so a double click is one trade.
  async submit() {
    if (this.sending) return;
    this.sending = true;
    const trade = this.read();
    const row = this.trades.addPending(trade);
    try {
      const response = await this.post(trade, row);
      const body = await response.json();
      row.settle(response.ok ? body : null);
      if (response.ok) this.accept(body);
      else this.reject(body);
    } catch {
      row.settle(null);
      this.notify("failure", "alert", "No answer, so it is unknown whether the trade was accepted. It is safe to send it again: it is counted only once.");
    }
    this.sending = false;
  }

  async post(trade, row) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const response = await fetch(this.form.action, {
          method: "POST",
          headers: { "Content-Type": "application/json", "Idempotency-Key": `"${this.key}"` },
          body: JSON.stringify(trade),
        });
        if (![409, 503].includes(response.status) || attempt === ATTEMPTS) return response;
      } catch (error) {
        if (attempt === ATTEMPTS) throw error;
      }
      row.setStatus("retrying");
      await sleep(RETRY_MS);
    }
  }

  accept(event) {
    this.key = newKey();
    this.showErrors({});
    this.notify("success", "status", `Accepted as #${event.seq}: ${event.side} ${event.qty} ${event.symbol} at ${event.price}`);
    for (const name of this.names.filter((each) => !KEPT.includes(each))) this.form.elements[name].value = "";
    this.form.elements.price.focus();
    this.writeCurl();
  }

  reject(problem) {
    if (problem.reason === "key_reused") this.key = newKey();
    const errors = problem.errors ?? {};
    this.showErrors(errors);
    const text = Object.keys(errors).length ? "Nothing was sent: please look at the marked fields." : problem.detail;
    this.notify("failure", "alert", text);
    this.form.querySelector(".invalid input")?.focus();
  }

  showErrors(errors) {
    for (const name of this.names) {
      const messages = errors[name];
      const error = document.getElementById(`${name}-error`);
      error.textContent = messages?.join(" ") ?? "";
      const field = error.parentElement;
      field.classList.toggle("invalid", Boolean(messages));
      field.querySelector("[type=text]")?.setAttribute("aria-invalid", Boolean(messages));
      if (messages) field.closest("details")?.setAttribute("open", "");
    }
  }

  notify(kind, role, text) {
    const notice = makeElement(role === "alert" ? "div" : "p", undefined, { class: `notice ${kind}`, role });
    notice.append(role === "alert" ? makeElement("p", text) : text);
    this.notices.replaceChildren(notice);
  }

  writeCurl() {
    const body = {};
    for (const name of this.names) {
      const { value, required, placeholder } = this.form.elements[name];
      if (value.trim() || required) body[name] = value.trim() || placeholder;
    }
    document.getElementById("curl").textContent =
      `curl ${shellQuote(this.form.action)} -H 'Content-Type: application/json' -d ${shellQuote(JSON.stringify(body))}`;
  }

  enableCopy() {
    const copy = document.getElementById("curl-copy");
    const command = document.getElementById("curl");
    if (!navigator.clipboard) return;
    copy.hidden = false;
    copy.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(command.textContent);
        copy.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(command);
        copy.textContent = "Press Ctrl+C";
      }
      setTimeout(() => { copy.textContent = "Copy"; }, 2000);
    });
  }
}

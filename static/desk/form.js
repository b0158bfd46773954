// The form: sent by script, so that the desk stays as it is. Without this it is a plain post.
import { make, newKey } from "./format.js";

const FIELDS = ["symbol", "side", "price", "qty", "ts"];
const TRIES = 8;
const RETRY_MS = 1000;

const quote = (text) => `'${text.replaceAll("'", `'"'"'`)}'`;
const wait = (ms) => new Promise((done) => { setTimeout(done, ms); });

export class Form {
  constructor(form, tape, notices) {
    this.form = form;
    this.tape = tape;
    this.notices = notices;
    this.sending = false;
    this.key = newKey();
    form.addEventListener("submit", (event) => { event.preventDefault(); this.send(); });
    form.addEventListener("input", () => this.writeCurl());
    document.addEventListener("keydown", (event) => this.choose(event));
    document.getElementById("keys").hidden = false;
    this.offerCopy();
  }

  choose(event) {
    const side = { KeyB: "BUY", KeyS: "SELL" }[event.code];
    if (!side || !event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.form.elements.side.value = side;
    this.writeCurl();
  }

  read() {
    const trade = {};
    for (const name of FIELDS) {
      const text = this.form.elements[name].value.trim();
      if (text || name !== "ts") trade[name] = text;
    }
    return trade;
  }

  // A second click while the first is under way is the same trade.
  async send() {
    if (this.sending) return;
    this.sending = true;
    const trade = this.read();
    const row = this.tape.expect(trade);
    try {
      const answer = await this.post(trade, row);
      const body = await answer.json();
      row.settle(answer.ok ? body : null);
      if (answer.ok) this.accept(body);
      else this.reject(body);
    } catch {
      row.settle(null);
      this.say("bad", "alert", "No answer: it is not known whether this trade was accepted. Send it again: it will not count twice.");
    }
    this.sending = false;
  }

  async post(trade, row) {
    for (let tried = 1; ; tried += 1) {
      try {
        const answer = await fetch(this.form.action, {
          method: "POST",
          headers: { "Content-Type": "application/json", "Idempotency-Key": `"${this.key}"` },
          body: JSON.stringify(trade),
        });
        if (![409, 503].includes(answer.status) || tried === TRIES) return answer;
      } catch (error) {
        if (tried === TRIES) throw error;
      }
      row.say("again");
      await wait(RETRY_MS);
    }
  }

  accept(event) {
    this.key = newKey();
    this.mark({});
    this.say("good", "status", `Accepted as #${event.seq}: ${event.side} ${event.qty} ${event.symbol} at ${event.price}`);
    for (const name of ["price", "qty", "ts"]) this.form.elements[name].value = "";
    this.form.elements.price.focus();
    this.writeCurl();
  }

  reject(problem) {
    if (problem.reason === "key_reused") this.key = newKey();
    const errors = problem.errors ?? {};
    this.mark(errors);
    const text = Object.keys(errors).length ? "Nothing was sent: please look at the marked fields." : problem.detail;
    this.say("bad", "alert", text);
    const first = FIELDS.find((name) => errors[name]);
    if (first) (this.form.elements[first].focus ? this.form.elements[first] : this.form.elements[first][0]).focus();
  }

  mark(errors) {
    for (const name of FIELDS) {
      const control = this.form.elements[name];
      const field = (control.closest ? control : control[0]).closest(".field");
      const messages = errors[name];
      field.classList.toggle("wrong", Boolean(messages));
      document.getElementById(`${name}-error`)?.remove();
      if (messages) field.append(make("p", messages.join(" "), { class: "error", id: `${name}-error` }));
      if (!control.closest) continue;
      const about = [document.getElementById(`${name}-hint`), messages && document.getElementById(`${name}-error`)];
      control.toggleAttribute("aria-invalid", Boolean(messages));
      if (messages) control.setAttribute("aria-invalid", "true");
      control.setAttribute("aria-describedby", about.filter(Boolean).map((each) => each.id).join(" "));
      if (!control.getAttribute("aria-describedby")) control.removeAttribute("aria-describedby");
    }
  }

  say(kind, role, text) {
    const notice = make(role === "alert" ? "div" : "p", undefined, { class: `notice ${kind}`, role });
    notice.append(role === "alert" ? make("p", text) : text);
    this.notices.replaceChildren(notice);
  }

  writeCurl() {
    const body = {};
    for (const name of FIELDS) {
      const field = this.form.elements[name];
      const text = (field.value || "").trim();
      if (text) body[name] = text;
      else if (name !== "ts") body[name] = field.placeholder ?? "";
    }
    document.getElementById("curl").textContent =
      `curl ${quote(this.form.action)} -H 'Content-Type: application/json' -d ${quote(JSON.stringify(body))}`;
  }

  offerCopy() {
    const copy = document.getElementById("curl-copy");
    const line = document.getElementById("curl");
    if (!navigator.clipboard) return;
    copy.hidden = false;
    copy.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(line.textContent);
        copy.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(line);
        copy.textContent = "Press Ctrl+C";
      }
      setTimeout(() => { copy.textContent = "Copy"; }, 2000);
    });
  }
}

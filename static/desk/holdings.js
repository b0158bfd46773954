// @ts-check
// What is held, from /positions: asked for after trades, since average cost is exact only in the sidecar.
import { formatSigned } from "./format.js";
import { byId, makeElement, request, setText } from "./page.js";
/** @import { Position, Positions } from "./types.d.ts" */

const REFRESH_MS = 1000;
// Of the time, what requests may take: an answer with many positions is asked for less often.
const SHARE = 0.1;
const RETRY_MS = 5000;
const ROWS = 50;
const QUOTES = 3;

export class Holdings {
  constructor() {
    this.card = byId("holdings", HTMLElement);
    this.body = this.card.getElementsByTagName("tbody")[0];
    /** The newest trade that the table should have. */
    this.wantedSeq = 0;
    this.isOff = false;
    /** @type {number | undefined} */
    this.timer = undefined;
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.ask(); });
    this.ask();
  }

  /** @param {number} [seq] of a trade that was accepted */
  ask(seq = 0) {
    this.wantedSeq = Math.max(this.wantedSeq, seq);
    if (!this.isOff) this.timer ??= setTimeout(() => this.load(), 0);
  }

  async load() {
    const started = performance.now();
    const answer = document.hidden ? undefined : await this.read();
    if (answer) this.draw(answer);
    const took = performance.now() - started;
    // `timer` stays set until then, so that trades that arrive meanwhile ask once.
    setTimeout(() => {
      this.timer = undefined;
      if (!document.hidden && (!answer || answer.last_seq < this.wantedSeq)) this.ask();
    }, answer ? Math.max(REFRESH_MS, took / SHARE) : RETRY_MS);
  }

  /** @returns {Promise<Positions | undefined>} */
  async read() {
    try {
      const response = await request(this.card.dataset.url ?? "", { headers: { Accept: "application/json" } });
      if (response.ok) return await response.json();
      this.isOff = response.status === 404;
    } catch {
      // The network or the web process is down, which the status says.
    }
    // Old positions would look like the current ones.
    this.card.hidden = this.isOff;
    byId("holdings-table", HTMLElement).hidden = true;
    setText("holdings-note", "not known: the sidecar does not answer");
    return undefined;
  }

  /** @param {Positions} answer */
  draw({ positions }) {
    const all = positions.filter((row) => row.source === null);
    const held = all.filter((row) => row.quantity !== "0");
    this.body.replaceChildren(...held.slice(0, ROWS).map(makeRow));
    /** @type {Map<string, number>} */
    const realised = new Map();
    for (const row of all) realised.set(row.quote, (realised.get(row.quote) ?? 0) + Number(row.realized_pnl));
    // Amounts of different currencies are not added up.
    const largest = Array.from(realised).filter(([, sum]) => sum).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).slice(0, QUOTES);
    const notes = [largest.length ? `realised ${largest.map(([quote, sum]) => `${formatSigned(sum)} ${quote}`).join(" · ")}` : "",
      held.length > ROWS ? `${held.length - ROWS} more` : "", all.length && !held.length ? "nothing is held" : ""];
    setText("holdings-note", notes.filter(Boolean).join(", "));
    byId("holdings-table", HTMLElement).hidden = held.length === 0;
    this.card.hidden = all.length === 0;
  }
}

/** @param {Position} row */
const makeRow = (row) => {
  const made = document.createElement("tr");
  made.append(makeElement("td", row.symbol, { class: "symbol", title: row.symbol }), makeElement("td", row.quantity, { class: "number", title: row.quantity }),
    makeElement("td", row.average_price ?? "", { class: "number wide", title: row.average_price ?? "" }),
    makeMoney(row.unrealized_pnl ?? "0", row.quote), makeMoney(row.realized_pnl, row.quote));
  return made;
};

/** @param {string} text @param {string} quote */
const makeMoney = (text, quote) => {
  const sign = text === "0" ? "" : text.startsWith("-") ? " down" : " up";
  return makeElement("td", `${formatSigned(Number(text))} ${quote}`, { class: `number${sign}`, title: text });
};

// The tape: the newest trades, newest first, never more than ROWS rows.
import { make } from "./format.js";

const ROWS = 50;
const EVERY_MS = 100;

export class Tape {
  constructor(table, empty) {
    this.table = table;
    this.body = table.tBodies[0];
    this.empty = empty;
    this.waiting = [];
    this.shown = new Set(Array.from(this.body.rows, (row) => Number(row.dataset.seq)));
  }

  add(trades) {
    this.waiting.push(...trades.slice(-ROWS));
    this.waiting = this.waiting.slice(-ROWS);
    this.timer ??= setTimeout(() => this.draw(), EVERY_MS);
  }

  draw() {
    this.timer = null;
    // The feed and the answer to the form may both have brought one, and either one first.
    for (const trade of this.waiting.splice(0)) {
      if (this.shown.has(trade.seq)) continue;
      const older = Array.from(this.body.rows).find((row) => Number(row.dataset.seq) < trade.seq);
      this.body.insertBefore(this.make(trade), older ?? null);
      this.show();
    }
    while (this.body.rows.length > ROWS) {
      const last = this.body.rows[this.body.rows.length - 1];
      this.shown.delete(Number(last.dataset.seq));
      last.remove();
    }
  }

  // A trade that is sent, but not accepted yet; `settle` puts the accepted one in its place, or takes it away.
  expect(trade) {
    const row = this.make({ ...trade, ts: new Date().toISOString() }, "sending");
    row.classList.add("pending");
    this.show();
    this.body.prepend(row);
    return {
      say: (word) => { row.cells[0].textContent = word; },
      settle: (accepted) => {
        row.remove();
        if (accepted) { this.add([accepted]); this.draw(); }
      },
    };
  }

  show() { this.table.hidden = false; this.empty.hidden = true; }

  make(trade, word) {
    const row = make("tr", undefined, { class: "new" });
    const number = make("td", word, { class: "number wide" });
    if (!word) {
      row.dataset.seq = trade.seq;
      this.shown.add(trade.seq);
      number.append(make("a", trade.seq, { href: `/trades/${trade.id}` }));
    }
    const time = make("time", `${trade.ts.slice(0, 10)} `, { datetime: trade.ts, title: trade.ts });
    time.append(make("b", trade.ts.slice(11, 19)));
    const moment = make("td");
    moment.append(time);
    const side = make("td");
    side.append(make("span", trade.side, { class: `side side-${trade.side.toLowerCase()}` }));
    row.append(
      number, moment, make("td", trade.symbol), side,
      make("td", trade.price, { class: "number" }), make("td", trade.qty, { class: "number" }),
    );
    return row;
  }
}

// The list of recent trades: newest first, at most ROWS rows.
import { makeElement } from "./format.js";

const ROWS = 50;
const REDRAW_MS = 100;

export class TradeList {
  constructor(table, empty) {
    this.table = table;
    this.body = table.tBodies[0];
    this.empty = empty;
    this.queue = [];
    this.shown = new Set(Array.from(this.body.rows, (row) => Number(row.dataset.seq)));
  }

  add(trades) {
    this.queue.push(...trades.slice(-ROWS));
    this.queue = this.queue.slice(-ROWS);
    this.timer ??= setTimeout(() => this.draw(), REDRAW_MS);
  }

  draw() {
    this.timer = null;
    // A trade may arrive twice, by the feed and by the form's response, in either order.
    for (const trade of this.queue.splice(0)) {
      if (this.shown.has(trade.seq)) continue;
      const older = Array.from(this.body.rows).find((row) => Number(row.dataset.seq) < trade.seq);
      this.body.insertBefore(this.makeRow(trade), older ?? null);
      this.show();
    }
    while (this.body.rows.length > ROWS) {
      const last = this.body.rows[this.body.rows.length - 1];
      this.shown.delete(Number(last.dataset.seq));
      last.remove();
    }
  }

  // Shows a trade that is sent but not accepted yet. `settle` replaces it with the accepted event, or removes it.
  addPending(trade) {
    const row = this.makeRow({ ...trade, ts: new Date().toISOString() }, "sending");
    row.classList.add("pending");
    this.show();
    this.body.prepend(row);
    return {
      setStatus: (status) => { row.cells[0].textContent = status; },
      settle: (event) => {
        row.remove();
        if (event) { this.add([event]); this.draw(); }
      },
    };
  }

  show() { this.table.hidden = false; this.empty.hidden = true; }

  makeRow(trade, status) {
    const row = makeElement("tr", undefined, { class: "new" });
    const seq = makeElement("td", status, { class: "number wide" });
    if (!status) {
      row.dataset.seq = trade.seq;
      this.shown.add(trade.seq);
      seq.append(makeElement("a", trade.seq, { href: `/trades/${trade.id}` }));
    }
    const time = makeElement("time", `${trade.ts.slice(0, 10)} `, { title: trade.ts });
    time.append(makeElement("b", trade.ts.slice(11, 19)));
    const timeCell = makeElement("td");
    timeCell.append(time);
    const side = makeElement("td");
    side.append(makeElement("span", trade.side, { class: `side side-${trade.side.toLowerCase()}` }));
    row.append(
      seq, timeCell, makeElement("td", trade.symbol, { class: "symbol" }), side,
      makeElement("td", trade.price, { class: "number" }), makeElement("td", trade.qty, { class: "number" }),
    );
    return row;
  }
}

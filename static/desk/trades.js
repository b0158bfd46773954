// The list of recent trades: newest first, at most ROWS rows. A row is a clone of the page's template.

const ROWS = 50;
const REDRAW_MS = 100;

// How each element that the template marks with a field shows its value.
const FILL = {
  a: (link, seq, { id }) => { link.textContent = seq; link.href += id; },
  time: (time, at) => {
    time.title = at;
    time.firstChild.data = `${at.slice(0, 10)} `;
    time.lastElementChild.textContent = at.slice(11, Number(time.dataset.clockEnd));
  },
  span: (span, side) => { span.textContent = side; span.classList.add(`side-${side.toLowerCase()}`); },
  td: (cell, value) => { cell.textContent = value ?? ""; },
};

export class TradeList {
  constructor(table, template, empty) {
    this.template = template;
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
    const row = this.template.content.firstElementChild.cloneNode(true);
    row.className = "new";
    for (const part of row.querySelectorAll("[data-field]")) FILL[part.localName](part, trade[part.dataset.field], trade);
    if (status) {
      row.cells[0].textContent = status;
    } else {
      row.dataset.seq = trade.seq;
      this.shown.add(trade.seq);
    }
    return row;
  }
}

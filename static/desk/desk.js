// Entry point: connects the parts of the desk. Without JavaScript the page works by form posts and reloads.
import { Feed } from "./feed.js";
import { Form } from "./form.js";
import { Market } from "./market.js";
import { StatusBar } from "./status.js";
import { TradeList } from "./trades.js";

// Trades; after a longer gap the missed ones are skipped, since the list shows only the newest.
const MAX_CATCH_UP = 2000;

const byId = (id) => document.getElementById(id);

const trades = new TradeList(byId("trades"), byId("trade-row"), byId("empty"));
new Form(byId("trade-form"), trades, byId("notices"));
const status = new StatusBar(byId("status"), byId("status-announcement"));
const market = new Market();
byId("refresh").hidden = true;

const pageSeq = Number(byId("trades").dataset.lastSeq);
const marketSeq = (await market.load()) ?? pageSeq;

new Feed({
  // Trades accepted between rendering the page and reading the summary are missing from one of the two.
  after: marketSeq - pageSeq > MAX_CATCH_UP ? marketSeq : Math.min(marketSeq, pageSeq),
  onTrades: (batch) => { trades.add(batch); market.add(batch); },
  onHeartbeat: (heartbeat) => market.syncClock(heartbeat.at),
  onState: (state) => status.showFeed(state),
  onResume: async (after) => {
    const last = await market.load(market.selected);
    return last - after > MAX_CATCH_UP ? last - 50 : after;
  },
});

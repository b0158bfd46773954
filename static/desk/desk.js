// @ts-check
// Entry point: connects the parts of the desk. Without JavaScript the page works by form posts and reloads.
import { Feed } from "./feed.js";
import { Form } from "./form.js";
import { Market } from "./market.js";
import { byId } from "./page.js";
import { StatusBar } from "./status.js";
import { TradeList } from "./trades.js";

// Trades; after a longer gap the missed ones are skipped, since the list shows only the newest.
const MAX_CATCH_UP = 2000;

const table = byId("trades", HTMLTableElement);
const trades = new TradeList(table, byId("trade-row", HTMLTemplateElement), byId("empty", HTMLElement));
new Form(byId("trade-form", HTMLFormElement), trades, byId("notices", HTMLElement));
const status = new StatusBar(byId("status", HTMLElement), byId("status-announcement", HTMLElement));
const market = new Market(byId("market", HTMLElement));
byId("refresh", HTMLElement).hidden = true;

const pageSeq = Number(table.dataset.lastSeq);
const marketSeq = (await market.load()) ?? pageSeq;

new Feed({
  url: table.dataset.feed ?? "",
  staleMs: Number(table.dataset.stale) * 1000,
  // Trades accepted between rendering the page and reading the summary are missing from one of the two.
  after: market.followAfter(marketSeq - pageSeq > MAX_CATCH_UP ? marketSeq : Math.min(marketSeq, pageSeq)),
  onTrades: (batch) => { trades.add(batch); market.add(batch); },
  onHeartbeat: (heartbeat) => market.syncClock(heartbeat.at),
  onState: (state) => status.showFeed(state),
  onResume: async (after) => {
    const last = (await market.load(market.selected)) ?? after;
    return last - after > MAX_CATCH_UP ? market.followAfter(last - 50) : after;
  },
});

// @ts-check
// Entry point: connects the parts of the desk. Without JavaScript the page works by form posts and reloads.
import { Form } from "./form.js";
import { Holdings } from "./holdings.js";
import { Live } from "./live.js";
import { Market } from "./market.js";
import { Notices } from "./notices.js";
import { byId } from "./page.js";
import { Panel } from "./panel.js";
import { arrange } from "./phone.js";
import { Silence } from "./silence.js";
import { StatusBar } from "./status.js";
import { showTitle } from "./title.js";
import { TradeList } from "./trades.js";
import { View } from "./view.js";
import { nameZone } from "./zone.js";
/** @import { Choice } from "./view.js" */

const MAX_BEHIND = 2000;
// Trades that are listed again after some were skipped.
const SHOWN_AGAIN = 50;

const table = byId("trades", HTMLTableElement);
const box = byId("status", HTMLElement);
const staleMs = Number(box.dataset.stale) * 1000;
const trades = new TradeList({
  table,
  template: byId("trade-row", HTMLTemplateElement),
  empty: byId("empty", HTMLElement),
  news: byId("trades-new", HTMLButtonElement),
  pause: byId("trades-pause", HTMLButtonElement),
});
const form = new Form(byId("trade-form", HTMLFormElement), trades, byId("notices", HTMLElement), (symbol) => view.chooseSymbol(symbol));
const section = byId("market", HTMLElement);
const panel = new Panel(section.dataset.bars ?? "");
const market = new Market({
  section,
  panel,
  onPrice: (price) => showTitle({ price }),
  onSymbol: (symbol) => { form.follow(symbol, true); view.chooseSymbol(symbol); },
});
/** @param {Choice} choice */
const show = ({ symbol, window, time, zone }) => {
  trades.setZone(zone);
  for (const each of document.querySelectorAll(".zone")) each.textContent = nameZone(zone);
  for (const each of document.querySelectorAll(".window")) each.textContent = window;
  panel.show({ symbol, time, zone, ...view.seconds });
  return market.show({ symbol, ...view.seconds });
};
const view = new View(show);
const notices = new Notices();
const status = new StatusBar({
  pipelineUrl: box.dataset.pipeline ?? "",
  unknownMs: staleMs,
  onChange: (trouble) => { showTitle({ trouble }); notices.update("trouble", trouble); },
});
const sources = byId("tile-sources", HTMLElement);
const silence = new Silence({
  url: sources.dataset.url ?? "",
  limits: JSON.parse(sources.dataset.limits ?? "{}"),
  now: () => market.now(),
  onChange: (text, names) => { status.showSilence(text); notices.update("silence", names && `Silent: ${names}`); },
});
const holdings = new Holdings();
byId("refresh", HTMLElement).hidden = true;
arrange();

const pageSeq = Number(table.dataset.lastSeq);
const marketSeq = (await show(view.choice)) ?? pageSeq;
form.follow(market.selected, false);
/** @param {number} after */
const follow = (after) => {
  panel.follow(after);
  return market.followAfter(after);
};

new Live({
  feedUrl: table.dataset.feed ?? "",
  tradesUrl: table.dataset.trades ?? "",
  staleMs,
  // Trades accepted between rendering the page and reading the summary are missing from one of the two.
  after: follow(marketSeq - pageSeq > MAX_BEHIND ? marketSeq : Math.min(marketSeq, pageSeq)),
  onTrades: (batch) => { trades.add(batch); market.add(batch); panel.add(batch); silence.add(batch); holdings.ask(batch.at(-1)?.seq); },
  onHeartbeat: (heartbeat) => market.syncClock(heartbeat.at),
  onPipeline: (pipeline) => status.showPipeline(pipeline),
  onState: (state) => status.showFeed(state),
  onComplete: (seq) => status.showComplete(seq),
  onSkip: async (last) => {
    const read = (await market.reload()) ?? last;
    return follow(Math.max(read, last) - SHOWN_AGAIN);
  },
});

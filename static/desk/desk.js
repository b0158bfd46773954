// The desk: puts its parts together. The page works without it, by plain posts and reloads.
import { Feed } from "./feed.js";
import { Form } from "./form.js";
import { Light } from "./status.js";
import { Market } from "./market.js";
import { Tape } from "./tape.js";

const HOLE = 2000;

const byId = (id) => document.getElementById(id);

const tape = new Tape(byId("tape"), byId("empty"));
new Form(byId("trade-form"), tape, byId("notices"));
const light = new Light(byId("light"), byId("light-news"));
const market = new Market();
byId("refresh").hidden = true;

const shown = Number(byId("tape").dataset.lastSeq);
const known = (await market.load()) || shown;

new Feed({
  // What came between the page and the summary is in only one of them.
  after: known - shown > HOLE ? known : Math.min(known, shown),
  onTrades: (trades) => { tape.add(trades); market.add(trades); },
  onPulse: (pulse) => market.tune(pulse.at),
  onState: (state) => light.showFeed(state),
  // After a long time away the summary is read anew, and the tape goes on from there.
  onReturn: async (after) => {
    const last = await market.load(market.chosen);
    return last - after > HOLE ? last - 50 : after;
  },
});

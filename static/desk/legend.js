// @ts-check
// What the chart shows, in words: the values of one bar, and what a person would not see from the picture alone.
import { readSeconds } from "./bars.js";
import { isAbove, trim } from "./decimal.js";
import { formatAge, formatCount, formatShare } from "./format.js";
import { makeElement } from "./page.js";
import { isBeyondFloats } from "./scale.js";
import { formatSeconds } from "./zone.js";
/** @import { Panel } from "./panel.js" */
/** @import { Bar } from "./types.d.ts" */
/** @import { Zone } from "./zone.js" */

const DAY = 86_400;

/** @param {Bar} bar @param {number} step @param {Zone} zone */
export const listValues = (bar, step, zone) => {
  const values = { O: bar.open, H: bar.high, L: bar.low, C: bar.close, V: trim(bar.quantity) };
  const bought = Number(bar.quantity) ? Number(bar.buy_quantity) / Number(bar.quantity) : 0;
  return [
    makeElement("span", formatSeconds(bar.time, zone, step >= DAY || bar.time < Date.now() / 1000 - DAY)),
    ...Object.entries(values).map(([name, value]) => {
      const part = makeElement("span", `${name} `);
      part.append(makeElement("b", value));
      return part;
    }),
    makeElement("span", `${isAbove(bar.open, bar.close) ? "▼" : "▲"} ${formatCount(bar.trades)} ${bar.trades === 1 ? "trade" : "trades"}, ${formatShare(bought)} bought`),
  ];
};

/** @param {Panel} panel */
const describeTimes = ({ answer, choice, bars: { list, newestAt } }) => {
  const now = Date.now() / 1000;
  const newest = newestAt ? readSeconds(newestAt) : now;
  if (newest >= now - choice.window || !list.length) return "";
  const first = list.find(({ time }) => time >= (answer?.since ?? 0)) ?? list[0];
  const dated = now - first.time > DAY;
  const end = list[list.length - 1].time + choice.step;
  const shown = `${formatSeconds(first.time, choice.zone, dated)} to ${formatSeconds(end, choice.zone, dated)}`;
  return `Last trade ${formatAge((now - newest) * 1000)} ago; showing ${shown}.`;
};

/** @param {Panel} panel */
export const describe = (panel) => {
  const { answer, choice, chart, bars: { list } } = panel;
  const notes = [describeTimes(panel)];
  if (answer && !answer.complete) notes.push(list.length ? "Older bars are being read." : "Bars are being read.");
  else if (answer && !list.length) notes.push("No trades of this symbol yet.");
  if (chart.beyond.length) {
    const [worst] = [...chart.beyond].sort((a, b) => Number(b.high) - Number(a.high));
    const bars = chart.beyond.length === 1 ? "1 bar goes" : `${chart.beyond.length} bars go`;
    notes.push(`${bars} beyond the axis, up to ${worst.high} at ${formatSeconds(worst.time, choice.zone, true)}.`);
  }
  if (chart.visible.some(isBeyondFloats)) notes.push("Differences after the 15th digit cannot be drawn; the values above have every digit.");
  return notes.filter(Boolean);
};

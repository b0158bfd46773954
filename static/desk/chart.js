// @ts-check
// One symbol's price bars and volume, drawn by Lightweight Charts in the colours of app.css.
// @ts-types="../vendor/lightweight-charts/typings.d.ts"
import {
  CandlestickSeries, ColorType, CrosshairMode, HistogramSeries, createChart,
} from "../vendor/lightweight-charts/lightweight-charts.mjs";
/** @import { UTCTimestamp } from "../vendor/lightweight-charts/typings.d.ts" */
import { formatSeconds } from "./zone.js";
/** @import { Bar } from "./types.d.ts" */
/** @import { Zone } from "./zone.js" */

const MAX_BARS = 2000;

export class Chart {
  /** @param {HTMLElement} container @param {number} [step] the length of a bar in seconds */
  constructor(container, step = 1) {
    this.step = step;
    this.chart = createChart(container, {
      autoSize: true,
      // The logo needs an inline style, which the Content-Security-Policy forbids; the footer has the attribution.
      layout: { attributionLogo: false, fontFamily: "system-ui, sans-serif", background: { type: ColorType.Solid } },
      timeScale: { timeVisible: true, secondsVisible: true, borderVisible: false, maxBarSpacing: 18 },
      rightPriceScale: { borderVisible: false },
      crosshair: { mode: CrosshairMode.Magnet },
      handleScroll: { mouseWheel: false },
      handleScale: { mouseWheel: false },
    });
    this.prices = this.chart.addSeries(CandlestickSeries);
    this.volumes = this.chart.addSeries(HistogramSeries, {
      priceFormat: { type: "volume" }, priceScaleId: "volume", lastValueVisible: false, priceLineVisible: false,
    });
    this.chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.8, bottom: 0 } });
    this.chart.priceScale("right").applyOptions({ scaleMargins: { top: 0.08, bottom: 0.26 } });
    /** @type {Bar[]} */
    this.bars = [];
    /** @type {Set<Bar>} */
    this.changed = new Set();
    this.stale = false;
    /** @type {number | undefined} */
    this.decimals = undefined;
    this.volumeColours = { buy: "", sell: "" };
    // fitContent has no effect until the chart has a size.
    this.chart.timeScale().subscribeSizeChange(() => this.chart.timeScale().fitContent());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.applyColours());
    this.applyColours();
  }

  applyColours() {
    const style = getComputedStyle(document.documentElement);
    const [surface, text, border, buy, sell] =
      ["surface", "muted", "border", "buy", "sell"].map((name) => style.getPropertyValue(`--${name}`).trim());
    this.volumeColours = { buy: `${buy}66`, sell: `${sell}66` };
    this.chart.applyOptions({
      layout: { background: { type: ColorType.Solid, color: surface }, textColor: text },
      grid: { vertLines: { visible: false }, horzLines: { color: border } },
    });
    // Hollow and filled, so that the direction is not in the colour alone.
    this.prices.applyOptions({
      upColor: surface, downColor: sell, borderUpColor: buy, borderDownColor: sell, wickUpColor: buy, wickDownColor: sell,
      priceLineColor: text,
    });
    this.set(this.bars);
  }

  /** @param {Zone} zone */
  setZone(zone) {
    this.chart.applyOptions({
      localization: { timeFormatter: (/** @type {number} */ time) => formatSeconds(time, zone, true) },
      timeScale: {
        tickMarkFormatter: (/** @type {number} */ time, /** @type {number} */ type) => {
          const [date, clock] = formatSeconds(time, zone, true).split(" ");
          // Years, months and days, then times without and with seconds.
          return type < 3 ? date : type === 3 ? clock.slice(0, 5) : clock;
        },
      },
    });
  }

  /** @param {Bar[]} bars */
  set(bars) {
    this.bars = bars;
    this.setPrecision();
    this.redraw();
    this.chart.timeScale().fitContent();
  }

  redraw() {
    this.changed = new Set();
    this.stale = false;
    this.prices.setData(this.bars);
    this.volumes.setData(this.bars.map((bar) => this.volumeOf(bar)));
  }

  /** @param {number} time @param {number} price @param {number} quantity @param {boolean} buys */
  add(time, price, quantity, buys) {
    // Trades arrive in order of seq. Bars well after this one came from a clock that was fast, so they are removed.
    while ((this.bars.at(-1)?.time ?? 0) > time + this.step) {
      this.bars.pop();
      this.stale = true;
    }
    const index = this.bars.findLastIndex((bar) => bar.time <= time);
    let bar = this.bars[index];
    if (bar?.time !== time) {
      bar = { time: /** @type {UTCTimestamp} */ (time), open: price, high: price, low: price, close: price, quantity: 0, buy_quantity: 0 };
      this.bars.splice(index + 1, 0, bar);
      if (this.bars.length > MAX_BARS) this.bars.shift();
    }
    // Lightweight Charts can update only the last bar; any other needs a redraw.
    if (bar !== this.bars.at(-1)) this.stale = true;
    bar.high = Math.max(bar.high, price);
    bar.low = Math.min(bar.low, price);
    bar.close = price;
    bar.quantity += quantity;
    bar.buy_quantity += buys ? quantity : 0;
    this.changed.add(bar);
  }

  draw() {
    if (this.bars.length && this.decimals === undefined) this.setPrecision();
    if (this.stale) this.redraw();
    for (const bar of this.changed) {
      this.prices.update(bar);
      this.volumes.update(this.volumeOf(bar));
    }
    this.changed.clear();
  }

  setPrecision() {
    const price = this.bars.at(-1)?.close;
    if (price === undefined) { this.decimals = undefined; return; }
    // Lightweight Charts writes at most 16 decimal places.
    this.decimals = Math.min(16, Math.max(2, 4 - Math.floor(Math.log10(price))));
    this.prices.applyOptions({ priceFormat: { type: "price", precision: this.decimals, minMove: Number(`1e-${this.decimals}`) } });
  }

  /** @param {Bar} bar */
  volumeOf(bar) {
    const mostlyBuys = bar.buy_quantity * 2 >= bar.quantity;
    return { time: bar.time, value: bar.quantity, color: mostlyBuys ? this.volumeColours.buy : this.volumeColours.sell };
  }
}

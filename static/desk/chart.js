// @ts-check
// Draws bars, volume and marks with Lightweight Charts in the colours of app.css, and keeps the view that a person chose.
// @ts-types="../vendor/lightweight-charts/typings.d.ts"
import {
  CandlestickSeries, ColorType, CrosshairMode, HistogramSeries, createChart, createSeriesMarkers,
} from "../vendor/lightweight-charts/lightweight-charts.mjs";
/** @import { SeriesMarker, Time, UTCTimestamp } from "../vendor/lightweight-charts/typings.d.ts" */
import { findPlaces, findRange } from "./scale.js";
import { formatSeconds } from "./zone.js";
/** @import { Bar, Mark } from "./types.d.ts" */
/** @import { Zone } from "./zone.js" */

const ZOOM = 1.4;
const NAMES = /** @type {const} */ (["surface", "muted", "border", "buy", "sell", "text"]);

const stamp = (/** @type {number} */ time) => /** @type {UTCTimestamp} */ (time);
const toCandle = (/** @type {Bar} */ { time, open, high, low, close }) => ({
  time: stamp(time), open: Number(open), high: Number(high), low: Number(low), close: Number(close),
});

export class Chart {
  /**
   * `onPoint` receives the time of the bar under the pointer, `onView` is called when another part is shown.
   * @param {HTMLElement} container
   * @param {{ onPoint?: (time: number | undefined) => void, onView?: () => void }} [options]
   */
  constructor(container, { onPoint, onView } = {}) {
    this.chart = createChart(container, {
      autoSize: true,
      // The logo needs an inline style, which the Content-Security-Policy forbids; the footer has the attribution.
      layout: { attributionLogo: false, fontFamily: "system-ui, sans-serif", background: { type: ColorType.Solid } },
      timeScale: { timeVisible: true, secondsVisible: true, borderVisible: false, maxBarSpacing: 40, minBarSpacing: 0.05 },
      rightPriceScale: { borderVisible: false, entireTextOnly: true },
      crosshair: { mode: CrosshairMode.Normal },
      // A finger that moves up or down scrolls the page.
      handleScroll: { vertTouchDrag: false },
    });
    this.prices = this.chart.addSeries(CandlestickSeries, { autoscaleInfoProvider: () => this.scale() });
    this.volumes = this.chart.addSeries(HistogramSeries, {
      priceFormat: { type: "volume" }, priceScaleId: "volume", lastValueVisible: false, priceLineVisible: false,
    });
    this.markers = createSeriesMarkers(this.prices, []);
    this.chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.8, bottom: 0 } });
    this.chart.priceScale("right").applyOptions({ scaleMargins: { top: 0.08, bottom: 0.24 } });
    this.step = 1;
    /** @type {Bar[]} */
    this.bars = [];
    /** @type {UTCTimestamp[]} The times of the bars and of the empty places between them. */
    this.times = [];
    /** @type {Mark[]} */
    this.marks = [];
    this.places = -1;
    this.bounded = true;
    /** @type {Bar[]} Those that the axis does not reach. */
    this.beyond = [];
    /** @type {number | undefined} How many bars are to be shown, once the chart has a size. */
    this.wanted = undefined;
    this.colours = Object.fromEntries(NAMES.map((name) => [name, ""]));
    this.chart.timeScale().subscribeSizeChange(() => this.showNewest());
    this.chart.subscribeCrosshairMove(({ time }) => onPoint?.(/** @type {number | undefined} */ (time)));
    this.chart.timeScale().subscribeVisibleLogicalRangeChange(() => onView?.());
    for (const preference of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) {
      matchMedia(preference).addEventListener("change", () => this.applyColours());
    }
    // The theme and the palette are attributes of the page.
    new MutationObserver(() => this.applyColours()).observe(document.documentElement, { attributes: true });
    this.applyColours();
  }

  applyColours() {
    const probe = document.createElement("i");
    // Else forced colours would give each name the colour of text.
    probe.style.forcedColorAdjust = "none";
    this.chart.chartElement().append(probe);
    for (const name of NAMES) {
      probe.style.color = `var(--${name})`;
      this.colours[name] = getComputedStyle(probe).color;
    }
    probe.remove();
    const { surface, muted, border, buy, sell } = this.colours;
    this.chart.applyOptions({
      layout: { background: { type: ColorType.Solid, color: surface }, textColor: muted },
      grid: { vertLines: { visible: false }, horzLines: { color: border } },
    });
    // Hollow and filled, so that the direction is not in the colour alone.
    this.prices.applyOptions({
      upColor: surface, downColor: sell, borderUpColor: buy, borderDownColor: sell, wickUpColor: buy, wickDownColor: sell,
      priceLineColor: muted,
    });
    this.redraw();
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

  /** Shows other bars in the same view. @param {Bar[]} bars in order of time @param {number} step their length in seconds */
  set(bars, step) {
    this.bars = bars;
    this.step = step;
    this.redraw();
  }

  /** Shows the newest bars, as many as there are steps in the window. @param {number} count */
  show(count) {
    this.wanted = Math.max(10, count);
    this.chart.priceScale("right").applyOptions({ autoScale: true });
    this.showNewest();
  }

  // It has no effect until the chart has a size and bars.
  showNewest() {
    const points = this.times.length;
    if (this.wanted === undefined || !points || !this.chart.timeScale().width()) return;
    const shown = Math.min(this.wanted, points);
    this.chart.timeScale().setVisibleLogicalRange({ from: points - shown - 0.5, to: points + Math.max(1, shown * 0.03) });
    this.wanted = undefined;
  }

  /** @param {number} factor below 1 to see more detail */
  zoom(factor) {
    const range = this.chart.timeScale().getVisibleLogicalRange();
    if (!range) return;
    const length = (range.to - range.from) * factor;
    this.chart.timeScale().setVisibleLogicalRange({ from: range.to - length, to: range.to });
  }

  zoomIn() { this.zoom(1 / ZOOM); }

  zoomOut() { this.zoom(ZOOM); }

  redraw() {
    this.setPrecision();
    const scale = this.chart.timeScale();
    const range = this.wanted === undefined ? scale.getVisibleLogicalRange() : null;
    const anchor = range && Math.floor(range.to) < this.times.length - 1 ? this.times[Math.floor(range.to)] : undefined;
    /** @type {({ time: UTCTimestamp } | ReturnType<typeof toCandle>)[]} */
    const points = [];
    for (const bar of this.bars) {
      // A time without trades is one empty place, however long it was.
      if (points.length && points[points.length - 1].time < bar.time - this.step) points.push({ time: stamp(bar.time - this.step) });
      points.push(toCandle(bar));
    }
    this.prices.setData(points);
    this.times = points.map(({ time }) => time);
    this.volumes.setData(this.bars.map((bar) => this.volumeOf(bar)));
    this.drawMarks();
    const index = anchor === undefined ? -1 : this.times.findLastIndex((time) => time <= anchor);
    // The same bars stay in view, also when there are others before or after them.
    if (range && index >= 0) {
      const to = index + range.to - Math.floor(range.to);
      scale.setVisibleLogicalRange({ from: to - (range.to - range.from), to });
    }
    this.showNewest();
  }

  /** Draws the last bar, or one after it. @param {Bar} bar */
  update(bar) {
    this.setPrecision([bar]);
    const last = this.times.at(-1) ?? bar.time;
    for (const time of last < bar.time - this.step ? [bar.time - this.step, bar.time] : last < bar.time ? [bar.time] : []) {
      this.times.push(stamp(time));
      if (time < bar.time) this.prices.update({ time: stamp(time) });
    }
    this.prices.update(toCandle(bar));
    this.volumes.update(this.volumeOf(bar));
    this.showNewest();
  }

  /** Sets the places of the axis; bars that are added only need more. @param {Bar[]} [added] */
  setPrecision(added) {
    const places = added ? Math.max(this.places, findPlaces(added)) : findPlaces(this.bars);
    if (places === this.places) return;
    this.places = places;
    this.prices.applyOptions({
      // Below the prices is the volume: the axis has no values below 0.
      priceFormat: { type: "custom", minMove: 10 ** -places, base: 10 ** places, formatter: (/** @type {number} */ price) => (price < 0 ? "" : price.toFixed(places)) },
    });
  }

  /** The bars in view. */
  get visible() {
    const range = this.chart.timeScale().getVisibleRange();
    if (!range) return this.bars;
    return this.bars.filter(({ time }) => time >= Number(range.from) && time <= Number(range.to));
  }

  scale() {
    const bars = this.visible;
    if (!bars.length) return null;
    const { min, max, beyond } = findRange(bars, this.bounded);
    this.beyond = beyond;
    return { priceRange: { minValue: min, maxValue: max } };
  }

  /** Lets what is far from the others stretch the axis, or not. @param {boolean} bounded */
  setBounded(bounded) {
    this.bounded = bounded;
    this.chart.priceScale("right").applyOptions({ autoScale: true });
    this.redraw();
  }

  /** @param {Mark[]} marks */
  setMarks(marks) {
    this.marks = marks;
    this.drawMarks();
  }

  drawMarks() {
    const times = new Set(this.bars.map((bar) => bar.time));
    /** @type {SeriesMarker<Time>[]} */
    const markers = this.marks.filter(({ time }) => times.has(time)).map(({ time, side }) => (side === "BUY"
      ? { time: stamp(time), position: "belowBar", shape: "arrowUp", color: this.colours.buy }
      : { time: stamp(time), position: "aboveBar", shape: "arrowDown", color: this.colours.sell }));
    this.markers.setMarkers(markers);
  }

  /** @param {Bar} bar */
  volumeOf({ time, quantity, buy_quantity: bought }) {
    const [value, buys] = [Number(quantity), Number(bought)];
    // Light and dark, so that the side is not in the hue alone.
    const colour = buys * 2 >= value ? this.colours.buy.replace("rgb(", "rgba(").replace(")", ", 0.35)") : this.colours.sell.replace("rgb(", "rgba(").replace(")", ", 0.8)");
    return { time: stamp(time), value, color: colour };
  }
}

// One symbol's bars with their volume, drawn by Lightweight Charts in the page's own colours.
import {
  CandlestickSeries, ColorType, CrosshairMode, HistogramSeries, createChart,
} from "../vendor/lightweight-charts/lightweight-charts.mjs";

const BARS = 400;

export class Chart {
  // A bar has `step` seconds.
  constructor(place, step) {
    this.step = step;
    this.chart = createChart(place, {
      autoSize: true,
      // Its logo brings a style of its own, which the page's policy refuses; the page's foot names it instead.
      layout: { attributionLogo: false, fontFamily: "system-ui, sans-serif", background: { type: ColorType.Solid } },
      timeScale: { timeVisible: true, secondsVisible: true, borderVisible: false, maxBarSpacing: 18 },
      rightPriceScale: { borderVisible: false },
      crosshair: { mode: CrosshairMode.Magnet },
      handleScroll: { mouseWheel: false },
      handleScale: { mouseWheel: false },
    });
    this.prices = this.chart.addSeries(CandlestickSeries, { borderVisible: false });
    this.volumes = this.chart.addSeries(HistogramSeries, {
      priceFormat: { type: "volume" }, priceScaleId: "volume", lastValueVisible: false, priceLineVisible: false,
    });
    this.chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.8, bottom: 0 } });
    this.chart.priceScale("right").applyOptions({ scaleMargins: { top: 0.08, bottom: 0.26 } });
    this.bars = [];
    // Before it has its size nothing can be fitted into it.
    this.chart.timeScale().subscribeSizeChange(() => this.chart.timeScale().fitContent());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.colour());
    this.colour();
  }

  colour() {
    const style = getComputedStyle(document.documentElement);
    const [card, ink, line, buy, sell] =
      ["card", "quiet", "line", "buy", "sell"].map((name) => style.getPropertyValue(`--${name}`).trim());
    this.pale = { buy: `${buy}66`, sell: `${sell}66` };
    this.chart.applyOptions({
      layout: { background: { type: ColorType.Solid, color: card }, textColor: ink },
      grid: { vertLines: { color: line }, horzLines: { color: line } },
    });
    this.prices.applyOptions({ upColor: buy, downColor: sell, wickUpColor: buy, wickDownColor: sell });
    this.set(this.bars);
  }

  set(bars) {
    this.bars = bars;
    this.adjust();
    this.redraw();
    this.chart.timeScale().fitContent();
  }

  redraw() {
    this.changed = new Set();
    this.stale = false;
    this.prices.setData(this.bars);
    this.volumes.setData(this.bars.map((bar) => this.measure(bar)));
  }

  add(time, price, quantity, buys) {
    // Trades come in the order of their seq. Bars well past this one are of a clock that was fast: they are not over yet.
    while (this.bars.length && this.bars.at(-1).time > time + this.step) {
      this.bars.pop();
      this.stale = true;
    }
    const before = this.bars.findLastIndex((bar) => bar.time <= time);
    let bar = this.bars[before];
    if (bar?.time !== time) {
      bar = { time, open: price, high: price, low: price, close: price, quantity: 0, buy_quantity: 0 };
      this.bars.splice(before + 1, 0, bar);
      if (this.bars.length > BARS) this.bars.shift();
    }
    // Only the last bar can be changed by itself.
    if (bar !== this.bars.at(-1)) this.stale = true;
    bar.high = Math.max(bar.high, price);
    bar.low = Math.min(bar.low, price);
    bar.close = price;
    bar.quantity += quantity;
    bar.buy_quantity += buys ? quantity : 0;
    this.changed.add(bar);
  }

  draw() {
    if (this.bars.length && this.decimals === undefined) this.adjust();
    if (this.stale) this.redraw();
    for (const bar of this.changed) {
      this.prices.update(bar);
      this.volumes.update(this.measure(bar));
    }
    this.changed.clear();
  }

  adjust() {
    const price = this.bars.at(-1)?.close;
    if (price === undefined) { this.decimals = undefined; return; }
    this.decimals = Math.min(10, Math.max(2, 4 - Math.floor(Math.log10(price))));
    this.prices.applyOptions({ priceFormat: { type: "price", precision: this.decimals, minMove: 10 ** -this.decimals } });
  }

  measure(bar) {
    const rises = bar.buy_quantity * 2 >= bar.quantity;
    return { time: bar.time, value: bar.quantity, color: rises ? this.pale.buy : this.pale.sell };
  }
}

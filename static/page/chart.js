// One symbol's bars with their volume, drawn by Lightweight Charts in the page's own colours.
import {
  CandlestickSeries, ColorType, CrosshairMode, HistogramSeries, createChart,
} from "../vendor/lightweight-charts/lightweight-charts.mjs";

const BARS = 400;

export class Chart {
  constructor(place) {
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
    this.changed = new Set();
    this.adjust();
    this.prices.setData(bars);
    this.volumes.setData(bars.map((bar) => this.measure(bar)));
    this.chart.timeScale().fitContent();
  }

  add(time, price, quantity, buys) {
    const last = this.bars.at(-1);
    // A trade of an earlier step than the last one belongs to no bar that can still change.
    if (last && time < last.time) return;
    let bar = last;
    if (!last || time > last.time) {
      bar = { time, open: price, high: price, low: price, close: price, quantity: 0, buy_quantity: 0 };
      this.bars.push(bar);
      if (this.bars.length > BARS) this.bars.shift();
    }
    bar.high = Math.max(bar.high, price);
    bar.low = Math.min(bar.low, price);
    bar.close = price;
    bar.quantity += quantity;
    bar.buy_quantity += buys ? quantity : 0;
    this.changed.add(bar);
  }

  draw() {
    if (this.bars.length && this.decimals === undefined) this.adjust();
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

// What the server sends, as the scripts read it. Browsers do not load this file.
export type Side = "BUY" | "SELL";

export type Trade = {
  id: string;
  seq: number;
  accepted_at: string;
  symbol: string;
  side: Side;
  price: string;
  qty: string;
  ts: string;
  source: string;
  ref: string | null;
  fee: string | null;
};

/** A trade as typed in the form: only what is not empty. */
export type TypedTrade = Record<string, string>;

export type Problem = { detail: string; status: number; reason?: string; errors?: Record<string, string[]> };

export type Heartbeat = { last_seq: number; at: string };

/** `age` in seconds. */
export type Pipeline = {
  age: number;
  web: { ready: boolean; reason: string | null };
  sidecar: { reachable: boolean; ready: boolean; last_seq: number | null };
  last_seq: number | null;
  lag_events: number | null;
  alerts: Alert[] | null;
};

/** An alert that fires. */
export type Alert = { name: string; severity: string; summary: string; since: string; runbook_url: string };

/** `paused` belongs to a page that is about to be left, `stale` to a feed that is silent though it looks open. */
export type FeedState = "connecting" | "live" | "reconnecting" | "stale" | "paused";

/** What one page reads from the feed, for all pages of the browser. `from` is the seq that the feed had reached before. */
export type FeedMessage =
  | { type: "trades"; from: number; trades: Trade[] }
  | { type: "heartbeat"; from: number; heartbeat: Heartbeat }
  | { type: "pipeline"; pipeline: Pipeline }
  | { type: "state"; state: FeedState }
  | { type: "reset" };

export type SymbolTotals = {
  symbol: string;
  quote: string;
  trades: number;
  buys: number;
  buy_notional: number;
  quantity: number;
  notional: number;
  last_price: string;
  last_at: string;
};

/** By which of its times a trade is in a bar. */
export type TimeColumn = "accepted_at" | "ts";

/** Decimals are text, exact; `time` is the start, in seconds since 1970. */
export type Bar = {
  time: number;
  open: string;
  high: string;
  low: string;
  close: string;
  quantity: string;
  buy_quantity: string;
  trades: number;
};

/** `last_at` is the newest trade up to the end; null when there is none. */
export type ChartAnswer = {
  since: number;
  until: number;
  last_at: string | null;
  last_seq: number;
  complete: boolean;
  bars: Bar[];
};

/** A trade of one's own in the chart. */
export type Mark = { time: number; side: Side };

export type Summary = {
  since: string;
  symbols: SymbolTotals[];
  symbol: string | null;
  last_seq: number;
  complete: boolean;
};

/** One position; `source` is null for the one over all sources. Every number has all its digits. */
export type Position = {
  symbol: string;
  source: string | null;
  quote: string;
  quantity: string;
  average_price: string | null;
  realized_pnl: string;
  unrealized_pnl: string | null;
  fees: string;
  last_price: string | null;
};

export type Positions = { positions: Position[]; overflow: number; last_seq: number };

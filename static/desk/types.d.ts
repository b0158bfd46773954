// What the server sends, as the scripts read it. Browsers do not load this file.
import type { UTCTimestamp } from "../vendor/lightweight-charts/typings.d.ts";

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

export type Problem = { detail: string; reason?: string; errors?: Record<string, string[]> };

export type Heartbeat = { last_seq: number; at: string };

export type Pipeline = {
  web: { ready: boolean; reason: string | null };
  sidecar: { reachable: boolean; ready: boolean; last_seq: number | null };
  last_seq: number | null;
  lag_events: number | null;
};

export type SymbolTotals = {
  symbol: string;
  trades: number;
  buys: number;
  buy_notional: number;
  quantity: number;
  notional: number;
  last_price: string;
};

export type Bar = {
  time: UTCTimestamp;
  open: number;
  high: number;
  low: number;
  close: number;
  quantity: number;
  buy_quantity: number;
};

export type Summary = {
  symbols: SymbolTotals[];
  symbol: string | null;
  bars: Bar[];
  last_seq: number;
  complete: boolean;
};

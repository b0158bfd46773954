"""The dashboard "Trading": what is traded, for traders."""

from typing import Final

from infra.grafana.panels import TRADES_RATE, Dashboard, Panel, Row
from infra.grafana.variables import rate, select

_CHOSEN = ('symbol=~"$symbol"', 'side=~"$side"')
_SYMBOL = ('symbol=~"$symbol"',)
_SIDE, _QUOTE = 'side=~"$side"', 'quote=~"$quote"'
_SIDES = ('side="BUY"', 'side="SELL"')

# Notionals of different quotes are never added up: they are by symbol, which has one quote, or by quote.
_BUY, _SELL = (f"sum by (symbol) ({rate('trading_notional_total', *_SYMBOL, side)})" for side in _SIDES)
_QUOTE_BUY, _QUOTE_SELL = (f"sum by (quote) ({rate('trading_trade_notional_sum', _QUOTE, side)})" for side in _SIDES)
_NOTIONAL = f"sum by (quote) ({select('trading_trade_notional_sum', _QUOTE, _SIDE)})"
_VWAP = (
    f"sum by (symbol) ({rate('trading_notional_total', *_CHOSEN)})"
    f" / sum by (symbol) ({rate('trading_quantity_total', *_CHOSEN)})"
)
_UNREALISED = (
    f"max by (symbol) ({select('trading_position', *_SYMBOL)})"
    f" * (max by (symbol) ({select('trading_last_price', *_SYMBOL)})"
    f" - max by (symbol) ({select('trading_position_average_price', *_SYMBOL)}))"
)
_TOP = f"topk(10, sum by (symbol) (increase({select('trading_trades_total', *_CHOSEN)}[$__range])))"

TRADING: Final = Dashboard(
    uid="trading-telemetry",
    title="Trading",
    about="What is traded: counts, volume, prices and sides of accepted trades.",
    choices=(
        ("symbol", "trading_trades_total"), ("side", "trading_trades_total"), ("quote", "trading_trade_notional_count"),
    ),
    links=(("Pipeline", "trading-telemetry-pipeline"), ("Relay", "trading-telemetry-relay")),
    rows=(
        Row("Now", (
            Panel("Trades", "Trades counted since the journal began.", "locale", (
                ("", f"sum({select('trading_trades_total', *_CHOSEN)})"),), 4, "stat"),
            Panel("Notional", "Price times quantity since the journal began, by quote currency.", "locale",
                (("{{quote}}", f"{_NOTIONAL} > 0 or on () max({_NOTIONAL})"),), 5, "stat"),
            Panel("Trades per second", "Current rate of accepted trades.", TRADES_RATE, (
                ("", f"sum({rate('trading_trades_total', *_CHOSEN)})"),), 4, "stat", decimals=1),
            Panel("Buy share", "Share of buys in the current rate of notional, by quote currency; 50 % is balanced.",
                "percentunit", (
                ("{{quote}}", f"{_QUOTE_BUY} / ({_QUOTE_BUY} + {_QUOTE_SELL} > 0)"),), 4, "gauge",
                ((0.0, "red"), (0.35, "yellow"), (0.45, "green"), (0.55, "yellow"), (0.65, "red")), ceiling=1),
            Panel("Symbols", "Symbols that have traded; those past the limit share the symbol other.", "none", (
                ("", f"count(sum by (symbol) ({select('trading_trades_total', *_SYMBOL)}) > 0)"),), 3, "stat"),
            Panel("Last trade", "The newest ts of any trade.", "dateTimeFromNow", (
                ("", f"max({select('trading_last_trade_timestamp_seconds', *_SYMBOL)}) * 1000"),), 4, "stat"),
        )),
        Row("Flow", (
            Panel("Trades per second by symbol", "Rate of accepted trades, buys and sells stacked.", TRADES_RATE, (
                ("{{symbol}} {{side}}", f"sum by (symbol, side) ({rate('trading_trades_total', *_CHOSEN)})"),),
                stacked=True),
            Panel("Notional per second by symbol", "Rate of price times quantity, in each symbol's quote currency.",
                "short", (
                ("{{symbol}} {{side}}", f"sum by (symbol, side) ({rate('trading_notional_total', *_CHOSEN)})"),)),
        )),
        Row("Positions", (
            Panel("Position", "Quantity held of each symbol, below 0 when short.", "short", (
                ("{{symbol}}", f"max by (symbol) ({select('trading_position', *_SYMBOL)})"),), 8, floor=None),
            Panel("Realised profit", "Profit of what was closed, before fees, in each symbol's quote currency.",
                "short", (
                ("{{symbol}}", f"max by (symbol) ({select('trading_realized_pnl', *_SYMBOL)})"),), 8, floor=None),
            Panel("Unrealised profit", "What closing at the last price would add, before fees, in each symbol's quote "
                "currency; of what is held.", "short", (
                ("{{symbol}}", _UNREALISED),), 8, floor=None),
        )),
        Row("Sources", (
            Panel("Trades per second by source", "Rate of accepted trades of each bot, strategy or account; without a "
                "name: trades that name none.", TRADES_RATE, (
                ("{{source}}", f"sum by (source) ({rate('trading_source_trades_total', _SIDE)})"),), stacked=True),
            Panel("Notional per second by source", "Rate of price times quantity of each source, by quote currency.",
                "short", (
                ("{{source}} {{quote}}",
                 f"sum by (source, quote) ({rate('trading_source_notional_total', _SIDE, _QUOTE)})"),)),
            Panel("Silence by source", "Time since the newest ts of each source, and its limit by SILENCE_AFTER.",
                "s", (
                ("{{source}}", f"time() - max by (source) ({select('trading_source_last_trade_timestamp_seconds')})"),
                ("limit of {{source}}", f"max by (source) ({select('trading_silence_limit_seconds')})")), 24),
        )),
        Row("Prices", (
            Panel("Price of $symbol", "Price of the newest trade; mean weighted by quantity (VWAP).", "string", (
                ("{{symbol}}", f"max by (symbol) ({select('trading_last_price', *_SYMBOL)})"),
                ("{{symbol}} VWAP", _VWAP)), 24, floor=None, repeat="symbol"),
        )),
        Row("Sides and sizes", (
            Panel("Imbalance", "Buys less sells, over both, in notional: 100 % is buys only, -100 % sells only.",
                "percentunit", (
                ("{{symbol}}", f"(({_BUY}) - ({_SELL})) / (({_BUY}) + ({_SELL}))"),), 8, floor=-1, ceiling=1),
            Panel("Quantity per second", "Rate of traded quantity, in units of each symbol.", "short", (
                ("{{symbol}} {{side}}", f"sum by (symbol, side) ({rate('trading_quantity_total', *_CHOSEN)})"),), 8),
            Panel("Top symbols", "The ten symbols with the most trades in the selected time range.", "short", (
                ("{{symbol}}", _TOP),), 8, "bargauge"),
            Panel("Sizes in $quote", "Trades per second by notional, for each quote: the darker, the more.", "short", (
                ("{{le}}", f"sum by (le) ({rate('trading_trade_notional_bucket', _SIDE, _QUOTE)})"),), 24, "heatmap",
                repeat="quote"),
        )),
    ),
)  # fmt: skip

"""The positions as metrics, by symbol (docs/metrics.md)."""

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from sidecar.positions import Positions


def expose_positions(positions: Positions | None) -> Iterator[Metric]:
    """Expose what is held, its average price, while something is held, and the realised profit; nothing for None."""
    by_symbol = ["symbol"]
    held = GaugeMetricFamily("trading_position", "Quantity held, below 0 when short.", labels=by_symbol)
    average = GaugeMetricFamily("trading_position_average_price", "Average price of what is held.", labels=by_symbol)
    realized = GaugeMetricFamily(
        "trading_realized_pnl", "Profit of what was closed, in the quote currency, before fees.", labels=by_symbol
    )
    for symbol, by_source in ({} if positions is None else positions.symbols).items():
        position = by_source.total
        held.add_metric([symbol], float(position.quantity))
        realized.add_metric([symbol], float(position.realized_pnl))
        price = position.average_price
        if price is not None:
            average.add_metric([symbol], float(price))
    yield from (held, average, realized)

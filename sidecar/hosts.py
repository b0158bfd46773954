"""The hosts of a hub as metrics: the totals in its journal, by the names that the settings give to its hosts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from common.event import SIDES
from common.journal.hub import Host
from common.settings import Settings
from sidecar.state import OTHER, read_seconds

HOST_LIMIT: Final = 50
"""Hosts with series of their own, the first that came; the trades of the rest are added up."""


def name_hosts(hosts: Sequence[Host], settings: Settings) -> dict[str, Host]:
    """Return the hosts by name, or by journal_id without one; those past HOST_LIMIT are one host, OTHER."""
    names = {journal_id: name for name, journal_id in settings.relay_host_names.items()}
    named = {names.get(host.journal_id, host.journal_id): host for host in hosts[:HOST_LIMIT]}
    others = hosts[HOST_LIMIT:]
    if others:
        buys, sells = sum(host.buys for host in others), sum(host.sells for host in others)
        newest = max((host.last_ts for host in others if host.last_ts is not None), default=None)
        named[OTHER] = Host(OTHER, 0, buys, sells, newest)
    return named


def expose_hosts(hosts: Mapping[str, Host]) -> Iterator[Metric]:
    """Return the metrics of hosts by name."""
    trades = CounterMetricFamily("trading_host_trades", "Accepted trades by host.", labels=["host", "side"])
    last_trade = GaugeMetricFamily(
        "trading_host_last_trade_timestamp_seconds", "The newest ts, in seconds since 1970.", labels=["host"]
    )
    for name, host in hosts.items():
        for side, count in zip(SIDES, (host.buys, host.sells), strict=True):
            trades.add_metric([name, side], count)
        if host.last_ts is not None:
            last_trade.add_metric([name], read_seconds(host.last_ts))
    yield from (trades, last_trade)

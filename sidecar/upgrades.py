"""Upgrades of states that earlier versions wrote, one step for each version."""

import itertools
from collections.abc import Iterator, Sequence
from decimal import Decimal, localcontext
from typing import Any, Final

import msgspec

from common.event import SIDES
from common.tally import COUNT_MAX, EXACT
from common.wire.worker_totals import MILLION
from sidecar.state import OTHER, STATE_VERSION

SECONDS: Final = (
    "0.001",
    "0.0025",
    "0.005",
    "0.01",
    "0.025",
    "0.05",
    "0.1",
    "0.25",
    "0.5",
    "1.0",
    "2.5",
    "5.0",
    "10.0",
)
TRADES: Final = ("1.0", "2.0", "5.0", "10.0", "20.0", "50.0", "100.0", "200.0", "500.0", "1000.0")
NOTIONAL: Final = (
    *(f"{factor * 10**power}.0" for power in range(7) for factor in (1, 3)),
    "10000000.0",
)


def upgrade_state(encoded: bytes, version: int) -> bytes:
    """Upgrade an encoded state of ``version`` to the one of this program. Raises ValueError for anything else."""
    try:
        state = msgspec.json.decode(encoded)
        for step in _STEPS[version - 1 :]:
            step(state)
    except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
        message = f"not a state of version {version}: {error!r}"
        raise ValueError(message) from error
    state["version"] = STATE_VERSION
    return msgspec.json.encode(state)


def _key_buckets(state: dict[str, Any]) -> None:
    """Version 2: a histogram carries its bounds."""
    if "notional" in state:
        state["notional"] = {
            side: _key(counts, NOTIONAL, _sum_notional(state, side)) for side, counts in state["notional"].items()
        }
    observed = state.get("observed", {})
    if "delay" in observed:
        observed["delay"] = _upgrade_histogram(observed["delay"], SECONDS)
    workers = observed.get("workers", {})
    for totals in (*workers.get("live", {}).values(), workers.get("past", {})):
        _upgrade_totals(totals)


def _rename(state: dict[str, Any]) -> None:
    """Version 3: standard words. Only the keys of fields: a symbol, route or worker may have any of these names."""
    _rename_keys(state, {"origin": "journal_id", "folded": "overflow_trades", "folded_names": "overflow_symbols"})
    for symbol in state.get("symbols", {}).values():
        for tally in symbol["tallies"].values():
            _rename_keys(tally, {"born": "created_at"})
    observed = state.get("observed", {})
    _rename_keys(observed, {"repeats": "duplicates"})
    _rename_keys(observed.get("rejected", {}), {"origin": "journal_id"})
    workers = observed.get("workers", {})
    _rename_keys(workers, {"past": "retired_totals", "live": "active", "gone": "retired"})
    for totals in (*workers.get("active", {}).values(), workers.get("retired_totals", {})):
        _rename_keys(totals, {"viewers": "subscribers"})


def _label_quotes(state: dict[str, Any]) -> None:
    """Version 4: notionals are by quote. Those of pruned trades were added up, and cannot be split any more."""
    if "notional" in state:
        state["notional"] = {OTHER: state["notional"]}


def _add_sources(state: dict[str, Any]) -> None:
    """Version 5: totals by source. No trade that was pruned before had one."""
    notional = state.get("notional", {})
    trades = {side: sum(sum(each[side]["buckets"].values()) for each in notional.values()) for side in SIDES}
    state["sources"] = {
        "totals": {"": {"trades": trades, "last_ts": max(_list_times(state), default=None)}},
        "notional": {
            f" {quote}": {side: by_side[side]["total"] for side in SIDES} for quote, by_side in notional.items()
        },
    }


def _list_times(state: dict[str, Any]) -> Iterator[str]:
    for symbol in state.get("symbols", {}).values():
        if symbol.get("last_ts") is not None:
            yield symbol["last_ts"]


def _describe_metrics(state: dict[str, Any]) -> None:
    """Version 6: the workers' metrics describe themselves. Workers of earlier versions cannot report, so all retire."""
    workers = state.get("observed", {}).get("workers", {})
    metrics: dict[str, Any] = {}
    for totals in (workers.pop("retired_totals", {}), *workers.pop("active", {}).values()):
        for metric in _describe(totals):
            declaration = " ".join((metric["name"], metric["type"], *metric["labels"], *metric["buckets"]))
            series = metrics.setdefault(declaration, metric | {"series": {}})["series"]
            for key, values in metric["series"].items():
                before = series.get(key, [0] * len(values))
                series[key] = [min(a + b, COUNT_MAX) for a, b in zip(before, values, strict=True)]
    workers |= {"metrics": metrics, "retired": []}


def _add_positions(state: dict[str, Any]) -> None:
    """Version 7: positions, which totals do not tell, and when sources were first seen: no release had named ones."""
    state["positions"] = None
    tallies = [tally for symbol in state.get("symbols", {}).values() for tally in symbol["tallies"].values()]
    created_at = min((tally["created_at"] for tally in tallies if tally.get("created_at") is not None), default=None)
    for totals in state.get("sources", {}).get("totals", {}).values():
        totals["created_at"] = created_at


_STEPS: Final = (_key_buckets, _rename, _label_quotes, _add_sources, _describe_metrics, _add_positions)


def _rename_keys(fields: dict[str, Any], names: dict[str, str]) -> None:
    for old, new in names.items():
        if old in fields:
            fields[new] = fields.pop(old)


def _upgrade_totals(totals: dict[str, Any]) -> None:
    for name, keys in (("commits", SECONDS), ("groups", TRADES)):
        if name in totals:
            totals[name] = _upgrade_histogram(totals[name], keys)
    for kind, histogram in totals.get("durations", {}).items():
        totals["durations"][kind] = _upgrade_histogram(histogram, SECONDS)


def _upgrade_histogram(histogram: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    if "counts" not in histogram:
        return histogram
    ends = (*keys, "+Inf")
    # The sum was in millionths.
    total = Decimal(histogram.get("total", 0)).scaleb(-6)
    exemplars = {ends[int(index)]: exemplar for index, exemplar in histogram.get("exemplars", {}).items()}
    return _key(histogram["counts"], keys, total) | {"exemplars": exemplars}


def _key(counts: Sequence[int], keys: Sequence[str], total: Decimal) -> dict[str, Any]:
    return {"buckets": dict(zip((*keys, "+Inf"), counts, strict=True)), "total": total}


def _sum_notional(state: dict[str, Any], side: str) -> Decimal:
    with localcontext(EXACT):
        return sum((Decimal(symbol["tallies"][side]["notional"]) for symbol in state["symbols"].values()), Decimal(0))


_COUNTERS: Final = {
    "requests": ("webapp_http_requests", ["method", "route", "status"]),
    "rejected": ("webapp_trades_rejected", ["reason"]),
    "dropped": ("webapp_feed_dropped", ["reason"]),
    "connections_dropped": ("webapp_connections_dropped", ["reason"]),
    "downloads_rejected": ("webapp_downloads_rejected", ["reason"]),
}


def _describe(totals: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the counters and histograms of workers' totals of version 5, in millionths."""
    for field, (name, labels) in _COUNTERS.items():
        series = {key: [count * MILLION] for key, count in totals.get(field, {}).items()}
        yield {"name": name, "type": "counter", "labels": labels, "buckets": [], "series": series}
    cpu = {"": [totals.get("cpu_micros", 0)]}
    yield {"name": "webapp_process_cpu_seconds", "type": "counter", "labels": [], "buckets": [], "series": cpu}
    for key, histogram in totals.get("durations", {}).items():
        yield _describe_histogram("webapp_http_request_duration_seconds", ["method", "route"], key, histogram)
    for field, name in (("commits", "webapp_commit_duration_seconds"), ("groups", "webapp_commit_trades")):
        if field in totals:
            yield _describe_histogram(name, [], "", totals[field])


def _describe_histogram(name: str, labels: list[str], key: str, histogram: dict[str, Any]) -> dict[str, Any]:
    counts = itertools.accumulate(histogram["buckets"].values())
    values = [count * MILLION for count in counts] + [int(Decimal(histogram["total"]) * MILLION)]
    buckets = list(histogram["buckets"])
    return {"name": name, "type": "histogram", "labels": labels, "buckets": buckets, "series": {key: values}}

import random
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask.testing import FlaskClient

from common.event import Event
from common.journal import block_ranges
from common.journal.store import Journal
from common.timestamps import format_timestamp, now
from tests.conftest import append, make_event
from webapp import summaries

# A multiple of every step, so that bars begin where these tests expect it.
START = datetime.fromisoformat("2026-01-31T00:00:00+00:00")


def at(seconds: float) -> str:
    return format_timestamp(START + timedelta(seconds=seconds))


def read(client: FlaskClient, **query: object) -> Any:  # noqa: ANN401 - an answer's JSON
    answer = client.get("/market/bars", query_string={"symbol": "A", **query})
    assert answer.status_code == 200, answer.json
    return answer.json


def count_up(events: Iterable[Event], column: str, step: int) -> dict[int, dict[str, Any]]:
    """Compute bars as a person would, from the trades of a symbol."""
    trades = list(events)
    if column == "ts":
        trades.sort(key=lambda each: (each.ts, each.seq))
    bars: dict[int, list[Event]] = {}
    for each in trades:
        second = int(datetime.fromisoformat(getattr(each, column)).timestamp() // step * step)
        bars.setdefault(second, []).append(each)
    return {
        time: {
            "open": Decimal(group[0].price),
            "high": max(Decimal(each.price) for each in group),
            "low": min(Decimal(each.price) for each in group),
            "close": Decimal(group[-1].price),
            "quantity": sum(Decimal(each.qty) for each in group),
            "buy_quantity": sum(Decimal(each.qty) for each in group if each.side == "BUY"),
            "trades": len(group),
        }
        for time, group in sorted(bars.items())
    }


def to_decimals(chart: dict[str, Any]) -> dict[int, dict[str, Any]]:
    return {
        bar["time"]: {
            name: Decimal(value) if isinstance(value, str) else value for name, value in bar.items() if name != "time"
        }
        for bar in chart["bars"]
    }


@pytest.mark.parametrize("block", [1, 3, 64])
@pytest.mark.parametrize("column", ["accepted_at", "ts"])
def test_bars_are_exact_whatever_the_order_of_the_times(
    client: FlaskClient, journal: Journal, monkeypatch: pytest.MonkeyPatch, column: str, block: int
) -> None:
    monkeypatch.setattr(block_ranges, "BLOCK", block)
    rng = random.Random(block)
    events = append(
        journal,
        [
            make_event(
                0,
                symbol=rng.choice("AAB"),
                side=rng.choice(("BUY", "SELL")),
                price=f"{rng.randrange(1, 10**6)}.{rng.randrange(10**18):018}",
                qty=f"0.{rng.randrange(1, 10**9)}",
                ts=at(rng.randrange(3600)),
                accepted_at=at(rng.randrange(3600)),
            )
            for _ in range(300)
        ],
    )
    mine = [event for event in events if event.symbol == "A"]
    for step in (5, 60):
        # The second answer is made from what was kept of the blocks.
        for _ in range(2):
            chart = read(client, time=column, step=step, window=3600, until=at(3600))
            assert to_decimals(chart) == count_up(mine, column, step)
            assert (chart["complete"], chart["last_seq"]) == (True, 300)
            assert (chart["since"], chart["until"]) == (START.timestamp(), START.timestamp() + 3600)


def test_bars_of_trades_before_1970_begin_where_the_others_do(client: FlaskClient, journal: Journal) -> None:
    append(journal, [make_event(0, symbol="A", ts="1969-12-31T23:59:57.500000Z")])
    assert [bar["time"] for bar in read(client, time="ts", step=5)["bars"]] == [-5]


def test_without_trades_in_the_window_the_newest_window_that_has_some_is_shown(
    client: FlaskClient, journal: Journal
) -> None:
    append(journal, [make_event(0, symbol="A", accepted_at=at(second)) for second in (10, 3000, 3599, 9000)])
    append(journal, [make_event(0, symbol="B", accepted_at=format_timestamp(now()))])
    chart = read(client, step=60, window=900)
    assert (chart["last_at"], chart["until"]) == (at(9000), START.timestamp() + 9060)
    assert [bar["time"] - START.timestamp() for bar in chart["bars"]] == [9000]
    # Scrolling back steps over the times without trades, until there is none.
    times = []
    while chart["bars"]:
        times.append([bar["time"] - START.timestamp() for bar in chart["bars"]])
        chart = read(
            client,
            step=60,
            window=900,
            until=format_timestamp(datetime.fromtimestamp(chart["bars"][0]["time"], START.tzinfo)),
        )
    assert times == [[9000], [3000, 3540], [0]]
    assert chart["last_at"] is None


def test_a_trade_ahead_of_the_clock_is_in_the_bars_of_its_own_time_only(client: FlaskClient, journal: Journal) -> None:
    append(
        journal,
        [
            make_event(0, symbol="A", price=price, ts=ts, accepted_at=accepted_at)
            for price, ts, accepted_at in (
                ("1", format_timestamp(now()), format_timestamp(now() + timedelta(hours=1))),
                ("2", format_timestamp(now() + timedelta(seconds=50)), format_timestamp(now())),
            )
        ],
    )
    assert [bar["close"] for bar in read(client)["bars"]] == ["2"]
    assert [bar["close"] for bar in read(client, time="ts")["bars"]] == ["1", "2"]


def test_pruned_trades_are_in_no_bar(client: FlaskClient, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_ranges, "BLOCK", 10)
    events = append(journal, [make_event(0, symbol="A", accepted_at=at(n), price=str(n + 1)) for n in range(45)])
    query = {"step": 5, "window": 900, "until": at(900)}
    assert to_decimals(read(client, **query)) == count_up(events, "accepted_at", 5)
    journal.prune(23, b"{}")
    assert to_decimals(read(client, **query)) == count_up(events[23:], "accepted_at", 5)


def test_bars_that_were_not_read_in_time_are_read_with_the_next_answers(
    client: FlaskClient, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_ranges, "BLOCK", 10)
    monkeypatch.setattr(summaries, "BUDGET_SECONDS", 0)
    append(journal, [make_event(0, symbol="A", accepted_at=at(n)) for n in range(15)])
    chart = read(client)
    assert (chart["complete"], sum(bar["trades"] for bar in chart["bars"]), chart["last_at"]) == (False, 5, at(14))
    monkeypatch.setattr(summaries, "BUDGET_SECONDS", 600)
    chart = read(client)
    assert (chart["complete"], sum(bar["trades"] for bar in chart["bars"])) == (True, 15)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"symbol": ""}, "symbol"),
        ({"time": "seq"}, "time"),
        ({"until": "yesterday"}, "until"),
        ({"window": 86_400}, "step"),
        ({"step": 0}, "step"),
        ({"limit": 1}, "limit"),
    ],
)
def test_a_bad_parameter_of_bars_is_rejected_by_name(client: FlaskClient, query: dict[str, object], field: str) -> None:
    answer: Any = client.get("/market/bars", query_string={"symbol": "A", **query})
    assert (answer.status_code, list(answer.json["errors"])) == (422, [field])

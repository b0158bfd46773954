import json
import random
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask.testing import FlaskClient

from common.journal import block_ranges
from common.journal.store import Journal
from common.tally import EXACT
from common.timestamps import format_timestamp, now
from tests.conftest import append, make_event
from webapp import summaries as summaries_module


def ago(seconds: float) -> str:
    return format_timestamp(now() - timedelta(seconds=seconds))


@pytest.fixture
def filled(journal: Journal) -> Journal:
    """Append trades at whole seconds before the start of the current bar of 10 s, so that their bars are known."""
    rows = [
        ("A", "BUY", "10", "1", 2000),
        ("A", "BUY", "10", "2", 100),
        ("A", "SELL", "14", "1", 91),
        ("B", "BUY", "1", "3", 50),
        ("A", "SELL", "12", "1", 40),
    ]
    current = now()
    bar = current - timedelta(seconds=current.second % 10, microseconds=current.microsecond)
    append(
        journal,
        [
            make_event(
                0,
                symbol=symbol,
                side=side,
                price=price,
                qty=qty,
                accepted_at=format_timestamp(bar - timedelta(seconds=age)),
            )
            for n, (symbol, side, price, qty, age) in enumerate(rows)
        ],
    )
    return journal


def test_totals_of_symbols_keep_every_digit(client: FlaskClient, journal: Journal) -> None:
    widest, smallest = f"{'9' * 20}.{'9' * 18}", f"0.{'0' * 17}1"
    accepted_at = format_timestamp(now())
    sent = [("BUY", widest, widest), ("SELL", widest, widest), ("BUY", smallest, smallest), ("BUY", "0.10", "3")]
    append(
        journal,
        [
            make_event(0, id=str(number), symbol="A", side=side, price=price, qty=qty, accepted_at=accepted_at)
            for number, (side, price, qty) in enumerate(sent)
        ],
    )
    market = json.loads(client.get("/market").data, parse_float=Decimal)
    (total,) = market["symbols"]
    exact = [
        (side, int(Decimal(price).scaleb(18, EXACT)), int(Decimal(qty).scaleb(18, EXACT))) for side, price, qty in sent
    ]
    assert total["quantity"].scaleb(18, EXACT) == sum(quantity for _, _, quantity in exact)
    assert total["notional"].scaleb(36, EXACT) == sum(price * quantity for _, price, quantity in exact)
    bought = sum(price * quantity for side, price, quantity in exact if side == "BUY")
    assert total["buy_notional"].scaleb(36, EXACT) == bought
    assert (total["trades"], total["buys"], total["last_price"]) == (4, 3, "0.10")


def test_a_window_has_totals_by_symbol_and_bars_of_one_symbol(client: FlaskClient, filled: Journal) -> None:
    market: Any = client.get("/market?window=900&step=10").json
    assert market["last_seq"] == filled.last_seq()
    assert market["complete"] is True
    first, second = market["symbols"]
    assert (first["symbol"], first["trades"], first["buys"], first["quantity"]) == ("A", 3, 1, 4.0)
    assert (first["notional"], first["buy_notional"], first["last_price"]) == (46.0, 20.0, "12")
    assert (second["symbol"], second["trades"]) == ("B", 1)
    assert {total["quote"] for total in market["symbols"]} == {"other"}
    assert market["symbol"] == "A"
    first, last = market["bars"]
    assert (first["open"], first["high"], first["low"], first["close"], first["trades"]) == (10, 14, 10, 14, 2)
    assert (last["open"], last["high"], last["low"], last["close"], last["trades"]) == (12, 12, 12, 12, 1)
    assert (first["time"] % 10, last["time"] - first["time"]) == (0, 60)
    assert [bar["trades"] for bar in client.get("/market?symbol=b").json["bars"]] == [1]  # type: ignore[index]


def test_a_summary_is_shared_by_later_requests_with_the_same_parameters(
    client: FlaskClient, filled: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summaries_module, "CACHE_SECONDS", 600)
    last_seq = filled.last_seq()
    answers = [client.get("/market?window=900&step=10")]
    append(filled, [make_event(0, accepted_at=ago(0))])
    answers.append(client.get("/market?step=10"))
    assert [answer.json["last_seq"] for answer in answers] == [last_seq, last_seq]  # type: ignore[index]
    assert client.get("/market?step=20").json["last_seq"] == last_seq + 1  # type: ignore[index]


def test_an_empty_journal_has_an_empty_summary(client: FlaskClient) -> None:
    market: Any = client.get("/market").json
    assert (market["last_seq"], market["symbols"], market["symbol"], market["bars"]) == (0, [], None, [])
    chart: Any = client.get("/market/bars?symbol=A").json
    assert (chart["last_seq"], chart["last_at"], chart["complete"], chart["bars"]) == (0, None, True, [])


def test_a_symbol_without_trades_in_the_window_stays_listed_with_its_newest_one(
    client: FlaskClient, journal: Journal
) -> None:
    old, older = ago(2000), ago(3000)
    rows = (("B", "7", older), ("A", "5", older), ("A", "6", old), ("C", "1", ago(2)), ("C", "2", ago(1)))
    append(journal, [make_event(0, symbol=symbol, price=price, accepted_at=at) for symbol, price, at in rows])
    market: Any = client.get("/market").json
    listed = [(each["symbol"], each["trades"], each["last_price"], each["last_at"]) for each in market["symbols"]]
    assert listed == [("C", 2, "2", rows[4][2]), ("A", 0, "6", old), ("B", 0, "7", older)]
    assert client.get("/market?symbol=A").json["bars"] == []  # type: ignore[index]


def test_a_summary_reads_for_a_limited_time_the_newest_trades_first(
    client: FlaskClient, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_ranges, "BLOCK", 10)
    monkeypatch.setattr(summaries_module, "BUDGET_SECONDS", 0)
    append(journal, [make_event(0, accepted_at=ago(5)) for n in range(25)])
    market: Any = client.get("/market").json
    assert (market["complete"], market["symbols"][0]["trades"]) == (False, 5)
    monkeypatch.setattr(summaries_module, "BUDGET_SECONDS", 600)
    market = client.get("/market?step=6").json
    assert (market["complete"], market["symbols"][0]["trades"]) == (True, 25)


@pytest.mark.parametrize("query", ["window=1", "window=2592000&step=86400", "window=600&step=1", "step=86400"])
def test_the_shortest_and_the_longest_window_and_step_are_accepted(client: FlaskClient, query: str) -> None:
    assert client.get(f"/market?{query}").status_code == 200


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("window=0", "window"),
        ("window=2592001&step=86400", "window"),
        ("step=0", "step"),
        ("step=86401", "step"),
        ("window=86400&step=5", "step"),
        ("symbol=%20", "symbol"),
        ("what=1", "what"),
    ],
)
def test_a_bad_parameter_is_rejected_by_name(client: FlaskClient, query: str, field: str) -> None:
    answer: Any = client.get(f"/market?{query}")
    assert answer.status_code == 422
    assert list(answer.json["errors"]) == [field]


def test_a_window_has_exactly_its_trades_after_the_clock_was_an_hour_fast(
    client: FlaskClient, journal: Journal
) -> None:
    times = [-3600.0] * 6 + [20.0] * 16
    append(
        journal,
        [
            make_event(0, price=str(n + 1), side="BUY" if age < 0 else "SELL", accepted_at=ago(age))
            for n, age in enumerate(times)
        ],
    )
    market: Any = client.get("/market?window=90&step=5").json
    assert (market["last_seq"], market["complete"]) == (22, True)
    (symbol,) = market["symbols"]
    assert (symbol["trades"], symbol["buys"], symbol["last_price"]) == (16, 0, "22")
    assert sum(bar["trades"] for bar in market["bars"]) == 16
    assert market["bars"][-1]["close"] == 22.0


@pytest.mark.parametrize("block", [1, 3, 64])
def test_a_window_is_exact_after_any_steps_of_the_clock(
    client: FlaskClient, journal: Journal, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(block_ranges, "BLOCK", block)

    rng = random.Random(block)
    # Half a minute from the ends of every window, so that a slow test moves no trade across them.
    ages = [60 * rng.randrange(-10, 10) + 30 for _ in range(200)]
    append(journal, [make_event(0, accepted_at=ago(age)) for age in ages])
    for window in (60, 240, 540):
        market: Any = client.get(f"/market?window={window}&step=5").json
        assert market["symbols"][0]["trades"] == sum(0 <= age <= window for age in ages) > 0
        assert sum(bar["trades"] for bar in market["bars"]) == market["symbols"][0]["trades"]
        assert market["complete"] is True

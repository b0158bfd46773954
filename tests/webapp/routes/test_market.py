import random
import threading
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client import CollectorRegistry

from common.hosts import HostRule
from common.journal import block_ranges, summaries
from common.journal.store import Journal
from common.settings import Settings
from common.timestamps import format_timestamp, now
from sidecar.routes import Routes
from sidecar.server import Server
from tests.conftest import make_event
from webapp import create_app


def ago(seconds: float) -> str:
    return format_timestamp(now() - timedelta(seconds=seconds))


@pytest.fixture
def filled(journal: Journal) -> Journal:
    rows = [
        ("A", "BUY", "10", "1", 2000),
        ("A", "BUY", "10", "2", 100),
        ("A", "SELL", "14", "1", 100),
        ("B", "BUY", "1", "3", 50),
        ("A", "SELL", "12", "1", 40),
    ]
    journal.append(
        [
            make_event(0, id=str(n), symbol=symbol, side=side, price=price, qty=qty, accepted_at=ago(age))
            for n, (symbol, side, price, qty, age) in enumerate(rows)
        ]
    )
    return journal


def test_a_window_is_summed_by_symbol_and_drawn_in_bars(client: FlaskClient, filled: Journal) -> None:
    stats: Any = client.get("/market?window=900&step=10").json
    assert stats["last_seq"] == filled.last_seq()
    assert stats["complete"] is True
    first, second = stats["symbols"]
    assert (first["symbol"], first["trades"], first["buys"], first["quantity"]) == ("A", 3, 1, 4.0)
    assert (first["notional"], first["buy_notional"], first["last_price"]) == (46.0, 20.0, "12")
    assert (second["symbol"], second["trades"]) == ("B", 1)
    assert stats["symbol"] == "A"
    bars = stats["bars"]
    assert sum(bar["trades"] for bar in bars) == 3
    assert (bars[0]["open"], bars[0]["high"], bars[0]["low"], bars[0]["close"]) in {(10, 14, 10, 14), (10, 10, 10, 10)}
    assert bars[-1]["close"] == 12.0
    assert all(bar["time"] % 10 == 0 for bar in bars)
    assert [bar["trades"] for bar in client.get("/market?symbol=b").json["bars"]] == [1]  # type: ignore[index]


def test_one_summary_serves_everybody_who_asks_the_same_a_moment_later(client: FlaskClient, filled: Journal) -> None:
    last_seq = filled.last_seq()
    answers = [client.get("/market?window=900&step=10")]
    filled.append([make_event(0, id="later", accepted_at=ago(0))])
    answers.append(client.get("/market?step=10"))
    assert [answer.json["last_seq"] for answer in answers] == [last_seq, last_seq]  # type: ignore[index]
    assert client.get("/market?step=20").json["last_seq"] == last_seq + 1  # type: ignore[index]


def test_an_empty_journal_has_an_empty_summary(client: FlaskClient) -> None:
    stats: Any = client.get("/market").json
    assert (stats["last_seq"], stats["symbols"], stats["symbol"], stats["bars"]) == (0, [], None, [])


def test_a_summary_looks_at_a_bounded_number_of_trades_and_says_so(
    client: FlaskClient, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summaries, "ROWS_LIMIT", 10)
    journal.append([make_event(0, id=str(n), accepted_at=ago(5)) for n in range(30)])
    stats: Any = client.get("/market").json
    assert stats["complete"] is False
    assert stats["symbols"][0]["trades"] == 10


@pytest.mark.parametrize("query", ["window=0", "window=86401", "step=0", "window=86400&step=5", "symbol=%20", "what=1"])
def test_a_bad_window_is_refused_by_name(client: FlaskClient, query: str) -> None:
    answer: Any = client.get(f"/market?{query}")
    assert answer.status_code == 422
    assert answer.json["errors"]


def test_a_window_counts_exactly_the_trades_accepted_in_it_though_the_clock_was_an_hour_fast(
    client: FlaskClient, journal: Journal
) -> None:
    times = [-3600.0] * 6 + [20.0] * 16
    journal.append(
        [
            make_event(0, id=str(n), price=str(n + 1), side="BUY" if age < 0 else "SELL", accepted_at=ago(age))
            for n, age in enumerate(times)
        ]
    )
    stats: Any = client.get("/market?window=30&step=5").json
    assert (stats["last_seq"], stats["complete"]) == (22, True)
    (symbol,) = stats["symbols"]
    assert (symbol["trades"], symbol["buys"], symbol["last_price"]) == (16, 0, "22")
    assert sum(bar["trades"] for bar in stats["bars"]) == 16
    assert stats["bars"][-1]["close"] == 22.0


@pytest.mark.parametrize("block", [1, 3, 64])
def test_a_window_is_exact_whatever_the_clock_did(
    client: FlaskClient, journal: Journal, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(block_ranges, "BLOCK", block)

    chance = random.Random(block)
    ages = [chance.uniform(-300, 300) for _ in range(200)]
    journal.append([make_event(0, id=str(n), accepted_at=ago(age)) for n, age in enumerate(ages)])
    for window in (50, 150, 290):
        stats: Any = client.get(f"/market?window={window}&step=5").json
        assert stats["symbols"][0]["trades"] == sum(0 <= age <= window for age in ages)
        assert sum(bar["trades"] for bar in stats["bars"]) == stats["symbols"][0]["trades"]
        assert stats["complete"] is True


def test_old_trades_stamped_in_the_window_are_missed_only_past_the_limit_and_then_said(
    client: FlaskClient, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_ranges, "BLOCK", 2)
    monkeypatch.setattr(summaries, "ROWS_LIMIT", 10)
    journal.append([make_event(0, id=str(n), accepted_at=ago(9000 if n > 1 else 5)) for n in range(40)])
    stats: Any = client.get("/market").json
    assert (stats["symbols"][0]["trades"], stats["complete"]) == (2, True)
    journal.append([make_event(0, id=f"new-{n}", accepted_at=ago(5)) for n in range(10)])
    stats = client.get("/market?step=6").json
    assert (stats["symbols"][0]["trades"], stats["complete"]) == (10, False)


def test_the_pipeline_tells_of_a_sidecar_that_is_away_or_behind(settings: Settings, filled: Journal) -> None:
    def look(app: Flask) -> dict[str, Any]:
        return app.test_client().get("/pipeline").json or {}

    server = Server("127.0.0.1", 0)
    port = server.server_port
    away = look(create_app(Settings(**{**vars(settings), "sidecar_http_port": port})))
    assert away["sidecar"] == {"reachable": False, "ready": False, "last_seq": None}
    assert (away["web"]["ready"], away["last_seq"], away["lag_events"]) == (True, filled.last_seq(), None)
    routes = Routes(HostRule("127.0.0.1"), lambda _: CollectorRegistry(), lambda: None, lambda: None, lambda: 2)
    server.open(routes.answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    behind = look(create_app(Settings(**{**vars(settings), "sidecar_http_port": port})))
    assert behind["sidecar"] == {"reachable": True, "ready": True, "last_seq": 2}
    assert behind["lag_events"] == filled.last_seq() - 2
    server.shutdown()
    thread.join(5)
    server.server_close()


def test_the_pipeline_says_why_trades_are_refused(client: FlaskClient, settings: Settings) -> None:
    settings.journal_path.mkdir()
    seen: Any = client.get("/pipeline").json
    assert seen["web"] == {"ready": False, "reason": "unopenable"}

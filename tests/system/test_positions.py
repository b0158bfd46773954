"""Positions of a real stack: the same digits everywhere, and after every loss."""

import csv
import io
import random
from typing import Any

import requests

from common.event import SIDES
from tests.system.stack import Stack
from tests.waiting import wait_for
from webapp.routes.positions import ALL_SOURCES

SYMBOLS = ("BTCUSDT", "ETH/EUR", "=A1", "長い名前")


def make_trades(count: int) -> list[dict[str, str]]:
    chance = random.Random(3)
    return [
        {
            "symbol": chance.choice(SYMBOLS),
            "side": chance.choice(SIDES),
            "price": f"{chance.getrandbits(40)}.{chance.getrandbits(59):018}",
            "qty": f"{chance.randint(0, 3)}.{chance.getrandbits(59) + 1:018}",
            "fee": f"0.{chance.getrandbits(59):018}",
            **chance.choice([{}, {"source": "bot-1"}, {"source": "bot-2"}]),
        }
        for _ in range(count)
    ]


def read_json(stack: Stack) -> dict[str, Any]:
    answer = requests.get(f"{stack.web_url}/positions", timeout=60)
    assert answer.status_code in {200, 503}, answer.text
    found: dict[str, Any] = answer.json()
    return found


def read_counted(stack: Stack, seq: int) -> dict[str, Any]:
    """Read the positions once they are up to ``seq``."""

    def read() -> dict[str, Any] | None:
        found = read_json(stack)
        return found if found.get("last_seq") == seq else None

    return wait_for(read, f"the positions are up to {seq}", 60)


def check_digits(stack: Stack, rows: list[dict[str, Any]]) -> None:
    """Check that CSV and metrics have the digits of the JSON."""
    text = requests.get(f"{stack.web_url}/positions.csv", timeout=60).content.decode()
    numbers = ("quantity", "average_price", "realized_pnl", "unrealized_pnl", "fees", "last_price")
    written = [[line["source"], *(line[name] for name in numbers)] for line in csv.DictReader(io.StringIO(text))]
    assert written == [
        [ALL_SOURCES if row["source"] is None else row["source"], *(row[name] or "" for name in numbers)]
        for row in rows
    ]
    for row in rows:
        if row["source"] is None:
            symbol = row["symbol"]
            assert stack.total("trading_position", symbol=symbol) == float(row["quantity"])
            assert stack.total("trading_position_average_price", symbol=symbol) == float(row["average_price"])
            assert stack.total("trading_realized_pnl", symbol=symbol) == float(row["realized_pnl"])


def test_digits_are_equal_everywhere_and_after_a_kill_and_pruning_and_the_loss_of_both_snapshots(cold: Stack) -> None:
    # Each worker shares its last answer for a while: with one, none is older than the one before.
    cold.settings |= {"JOURNAL_RETENTION": "1s", "WEB_CONCURRENCY": "1"}
    cold.start("web")
    cold.start("sidecar")
    sent = make_trades(300)
    assert requests.post(f"{cold.web_url}/trades", json=sent, timeout=60).status_code == 201
    before = read_counted(cold, len(sent))
    assert {row["symbol"] for row in before["positions"]} == set(SYMBOLS)
    check_digits(cold, before["positions"])

    def restart(*, lose: bool) -> None:
        cold.find("sidecar").kill()
        cold.stop("sidecar")
        wait_for(lambda: read_json(cold).get("reason") == "sidecar_unreachable", "the page says it is away", 60)
        if lose:
            for path in cold.folder.glob("snapshot*"):
                path.unlink()
        cold.start("sidecar")

    restart(lose=False)
    assert read_counted(cold, len(sent)) == before

    def read_pruned_seq() -> int:
        pruned: int = requests.get(f"{cold.web_url}/trades", timeout=60).json()["pruned_seq"]
        return pruned

    wait_for(lambda: read_pruned_seq() == len(sent), "every trade is pruned", 60)
    restart(lose=True)
    assert read_counted(cold, len(sent)) == before
    check_digits(cold, before["positions"])

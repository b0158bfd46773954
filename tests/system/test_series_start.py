"""The first trade of a symbol in a real Prometheus, whatever the clocks show."""

import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.system.faults.storm import CLOCK
from tests.system.prometheus import Prometheus
from tests.system.stack import Stack
from tests.waiting import wait_for


def increase(prometheus: Prometheus, symbol: str, side: str) -> list[int]:
    query = f'increase(trading_trades_total{{symbol="{symbol}",side="{side}"}}[1m])'
    return [round(value) for value in prometheus.ask(query)]


@pytest.mark.parametrize("ahead", [0, 45, -45], ids=["same clock", "45 s ahead", "45 s behind"])
def test_the_first_trade_of_a_symbol_is_an_increase_whatever_the_clocks_show(tmp_path: Path, ahead: int) -> None:
    for process in ("web", "sidecar"):
        (tmp_path / process).write_text(str(ahead))
    with Stack(tmp_path, PYTHONPATH=f"{CLOCK}:{ROOT}", CLOCK_FOLDER=str(tmp_path)) as stack:
        stack.start("web")
        stack.start("sidecar")
        with Prometheus(tmp_path, stack.settings["SIDECAR_HTTP_PORT"]) as prometheus:
            wait_for(lambda: prometheus.ask("up") == [1], "Prometheus scrapes")
            assert stack.post(symbol="NEW").status_code == 201
            posted = time.monotonic()
            selector = 'trading_trades_total{symbol="NEW",side="BUY"}'
            wait_for(lambda: prometheus.ask(selector) == [1], "Prometheus has the new symbol", 30)
            sys.stdout.write(f"visible after {time.monotonic() - posted:.1f} s, clock {ahead:+} s\n")
            wait_for(lambda: increase(prometheus, "NEW", "BUY") == [1], "the first trade is an increase")
            for _ in range(3):
                stack.post(symbol="THREE", side="SELL")
            wait_for(lambda: increase(prometheus, "THREE", "SELL") == [3], "so are three at once")
            stack.find("sidecar").kill()
            stack.stop("sidecar")
            stack.start("sidecar")
            stack.post(symbol="NEW")
            wait_for(lambda: increase(prometheus, "NEW", "BUY") == [2], "the second trade is one more")
            for what in ("trades", "quantity", "notional"):
                assert max(prometheus.ask(f"resets(trading_{what}_total[5m])")) == 0

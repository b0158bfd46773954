"""What the check of the stage asks, and what it says of panels without data."""

import json
import re
from collections.abc import Callable
from typing import Any

from infra.check_stage import BOARDS, Client, find_empty, read_panels


class Server(Client):
    """Answers as web and Grafana do, without a network."""

    def __init__(self, has_data: Callable[[str], bool]) -> None:
        self.has_data = has_data
        self.trades = 0

    def ask(self, path: str, body: Any = None) -> Any:  # noqa: ANN401 - JSON
        if path == "/trades":
            self.trades += len(body)
            return {"accepted": len(body)}
        if path.startswith("/api/dashboards/uid/"):
            boards = [json.loads(board.read_text()) for board in BOARDS]
            return {"dashboard": next(board for board in boards if path.endswith(f"/{board['uid']}"))}
        assert path == "/api/ds/query"
        for query in body["queries"]:
            assert not re.search(r"\$(?!__)", query["expr"])
            assert query["datasource"] == {"uid": "trading-prometheus"}
        found = any(self.has_data(query["expr"]) for query in body["queries"])
        # A series without a value is no data either.
        return {"results": {"A": {"frames": [{"data": {"values": [[1, 2], [None, 1.5 if found else None]]}}]}, "B": {}}}


def test_every_panel_is_asked_for_and_an_empty_one_is_named() -> None:
    server = Server(lambda _: True)
    names = [name for name, _ in read_panels(server)]
    panels = [panel for board in BOARDS for panel in json.loads(board.read_text())["panels"] if panel["type"] != "row"]
    assert len(names) == len(set(names)) == len(panels)
    assert find_empty(server, server) == []
    assert server.trades > 0


def test_it_asks_again_until_the_time_is_over() -> None:
    server = Server(lambda expr: "sidecar_lag_events" not in expr)
    empty = find_empty(server, server, 0.2)
    assert "Pipeline: Lag" in empty
    assert len(empty) < len(list(read_panels(server)))

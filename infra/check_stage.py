"""Checks a running stage as its users would: sends trades through nginx, and asks Grafana for every panel's data."""

import argparse
import json
import re
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from common.errors import BadSettingError
from common.secret_files import read_secret
from infra.stack import INFRA

DATASOURCE: Final = "trading-prometheus"
BOARDS: Final = [INFRA / "grafana" / "dashboards" / name for name in ("trading.json", "pipeline.json")]
"""The dashboards of the services of the stage; a relay is none of them."""

SECONDS: Final = 180

_TRADES: Final = [
    {"symbol": "BTCUSDT", "side": "BUY", "price": "64210.50", "qty": "0.25"},
    {"symbol": "BTCUSDT", "side": "SELL", "price": "64211.00", "qty": "0.10"},
    {"symbol": "ETHEUR", "side": "SELL", "price": "3100.5", "qty": "2", "source": "stage"},
]


class Client:
    """Sends JSON to one server, and returns the JSON of its answer. Raises OSError, also for the status of an error."""

    def __init__(self, url: str, *, token: str = "", certificate: Path | None = None) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._tls = ssl.create_default_context(cafile=certificate) if url.startswith("https:") else None

    def ask(self, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """Get the path, or post the body to it."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, self._headers)  # noqa: S310 - the user's own server
        with urllib.request.urlopen(request, timeout=20, context=self._tls) as answer:  # noqa: S310 - the same
            return json.load(answer)


def read_panels(grafana: Client) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the name and the queries of each panel of our dashboards, as Grafana has them."""
    for path in BOARDS:
        uid = json.loads(path.read_text())["uid"]
        board = grafana.ask(f"/api/dashboards/uid/{uid}")["dashboard"]
        for panel in board["panels"]:
            if panel["type"] != "row":
                yield f"{board['title']}: {panel['title']}", panel["targets"]


def has_data(grafana: Client, targets: list[dict[str, Any]]) -> bool:
    """Return whether Grafana has a value for any query of a panel, with every variable of the dashboard at All."""
    queries = []
    for target in targets:
        # Grafana's own variables, which begin with two underscores, are filled in by its server.
        expr = re.sub(r"\$(?!__)\w+", ".+", target["expr"])
        queries.append(
            target | {"expr": expr, "datasource": {"uid": DATASOURCE}, "intervalMs": 1000, "maxDataPoints": 300}
        )
    answer = grafana.ask("/api/ds/query", {"from": "now-5m", "to": "now", "queries": queries})
    columns = [frame["data"]["values"] for result in answer["results"].values() for frame in result.get("frames", [])]
    # The first column is the time.
    return any(value is not None for values in columns for column in values[1:] for value in column)


def find_empty(web: Client, grafana: Client, seconds: float = SECONDS) -> list[str]:
    """Send trades until every panel has data, and return those that have none after that time."""
    end = time.monotonic() + seconds
    empty = ["no panel"]
    panels = dict(read_panels(grafana))
    while empty and time.monotonic() < end:
        # A rate needs trades at several scrapes.
        web.ask("/trades", _TRADES)
        empty = [name for name, targets in panels.items() if not has_data(grafana, targets)]
    return empty


def main() -> int:
    """Return 1 if a panel is empty, or a server does not answer."""
    parser = argparse.ArgumentParser(prog="python -m infra.check_stage", description=__doc__)
    parser.add_argument("--token-file", type=Path, required=True, help="has the token that make stage-up showed")
    parser.add_argument("--url", default="https://127.0.0.1:8443", help="of nginx; default: %(default)s")
    parser.add_argument("--certificate", type=Path, default=INFRA.parent / "var" / "stage" / "trading.crt")
    parser.add_argument("--grafana", default="http://127.0.0.1:3000", help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="the longest wait; default: %(default)s")
    given = parser.parse_args()
    try:
        web = Client(given.url, token=read_secret("--token-file", given.token_file), certificate=given.certificate)
        empty = find_empty(web, Client(given.grafana), given.seconds)
    except (BadSettingError, OSError) as error:
        sys.stderr.write(f"the stage does not answer as it should: {error}\n")
        return 1
    for name in empty:
        sys.stderr.write(f"no data: {name}\n")
    if not empty:
        print("Every panel has data.")
    return int(bool(empty))


if __name__ == "__main__":
    sys.exit(main())

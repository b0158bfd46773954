"""Stands in for Grafana in a service of ``tests.system.engine``: the part that ``infra/check_stage.py`` asks.

It has the dashboards and the data source that are provisioned in its files, and answers queries by a real Prometheus.
"""

import json
import os
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml


def read_source() -> tuple[str, str]:
    """Read the uid and the address of the provisioned data source."""
    (file,) = Path("/etc/grafana/provisioning/datasources").iterdir()
    (source,) = yaml.safe_load(os.path.expandvars(file.read_text()))["datasources"]
    return source["uid"], source["url"]


def read_board(uid: str) -> dict[str, Any]:
    (file,) = Path("/etc/grafana/provisioning/dashboards").iterdir()
    (provider,) = yaml.safe_load(os.path.expandvars(file.read_text()))["providers"]
    boards = [json.loads(path.read_text()) for path in Path(provider["options"]["path"]).iterdir()]
    return {"dashboard": next(board for board in boards if board["uid"] == uid)}


def query(asked: dict[str, Any]) -> dict[str, Any]:
    results = {}
    uid, url = read_source()
    for each in asked["queries"]:
        assert each["datasource"]["uid"] == uid
        expr = each["expr"].replace("$__rate_interval", "4s").replace("$__range", "5m")
        assert "$" not in expr, expr
        body = urllib.parse.urlencode({"query": expr}).encode()
        with urllib.request.urlopen(f"{url}/api/v1/query", body, timeout=20) as answer:
            series = json.load(answer)["data"]["result"]
        columns = [[one["value"] if isinstance(one, dict) else one] for one in series]
        results[each["refId"]] = {"frames": [{"data": {"values": [[0], *columns]}}]}
    return {"results": results}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        self.answer({"database": "ok"} if self.path == "/api/health" else read_board(name))

    def do_POST(self) -> None:
        assert self.path == "/api/ds/query"
        self.answer(query(json.loads(self.rfile.read(int(self.headers["Content-Length"])))))

    def answer(self, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    assert os.environ["GF_AUTH_ANONYMOUS_ENABLED"] == "true"
    ThreadingHTTPServer(("", 3000), Handler).serve_forever()

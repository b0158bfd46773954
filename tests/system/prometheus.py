"""A real Prometheus for one test, which scrapes one sidecar every second."""

import contextlib
import subprocess
from pathlib import Path
from typing import Self

import requests

from tests.conftest import require_program
from tests.system.stack import free_ports
from tests.waiting import wait_for

_CONFIG = """
global: {{scrape_interval: 1s}}
scrape_configs: [{{job_name: sidecar, static_configs: [{{targets: [{targets}]}}]{more}}}]
"""


class Prometheus:
    def __init__(self, folder: Path, sidecar_port: str, *names: str) -> None:
        """Scrape the sidecar. With ``names``, scrape it under each name, with the sidecar itself as the proxy."""
        self._folder = folder
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        config = folder / "prometheus.yml"
        targets = ", ".join(f'"{name}:{sidecar_port}"' for name in names or ("127.0.0.1",))
        more = f', proxy_url: "http://127.0.0.1:{sidecar_port}"' if names else ""
        config.write_text(_CONFIG.format(targets=targets, more=more))
        self._command = [
            require_program("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--enable-feature=exemplar-storage",
        ]

    def __enter__(self) -> Self:
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        wait_for(self._ready, "Prometheus is ready", 30)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)

    def _ready(self) -> bool:
        assert self._process.poll() is None, (self._folder / "prometheus.log").read_text()
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{self.url}/-/ready", timeout=60).status_code == 200
        return False

    def ask_exemplars(self, query: str) -> list[str]:
        """Return the request ids in the exemplars of a query."""
        params = {"query": query, "start": "0", "end": "9999999999"}
        answer = requests.get(f"{self.url}/api/v1/query_exemplars", params=params, timeout=60).json()
        assert answer["status"] == "success", answer
        return [each["labels"]["request_id"] for series in answer["data"] for each in series["exemplars"]]

    def list_values(self, label: str) -> list[str]:
        """Return all values of a label."""
        answer = requests.get(f"{self.url}/api/v1/label/{label}/values", timeout=60).json()
        assert answer["status"] == "success", answer
        values: list[str] = answer["data"]
        return values

    def ask(self, query: str) -> list[float]:
        """Return the values of an instant query."""
        answer = requests.get(f"{self.url}/api/v1/query", params={"query": query}, timeout=60).json()
        assert answer["status"] == "success", answer
        return [float(sample["value"][1]) for sample in answer["data"]["result"]]

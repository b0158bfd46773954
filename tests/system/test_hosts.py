"""Names of the servers, as a real Prometheus and a proxy use them."""

from pathlib import Path

import requests

from tests.system.prometheus import Prometheus
from tests.system.stack import TRADE, Stack
from tests.waiting import wait_for


def test_prometheus_scrapes_by_a_service_name_that_is_allowed_and_by_no_other(tmp_path: Path) -> None:
    with Stack(tmp_path, ALLOWED_HOSTS="sidecar,desk.example") as stack:
        stack.start()
        stack.accept(3)
        with Prometheus(tmp_path, stack.settings["SIDECAR_HTTP_PORT"], "sidecar", "evil.example") as prometheus:
            up = 'up{{instance="{}:{}"}}'
            port = stack.settings["SIDECAR_HTTP_PORT"]
            wait_for(lambda: prometheus.ask(up.format("sidecar", port)) == [1], "the service name is scraped")
            wait_for(lambda: prometheus.ask(up.format("evil.example", port)) == [0], "another name is not")
            wait_for(lambda: prometheus.ask("sum(trading_trades_total)") == [3], "it has the trades")
        for url in (stack.web_url, stack.sidecar_url):
            for route in ("/healthz", "/readyz"):
                assert requests.get(url + route, headers={"Host": "anything"}, timeout=5).status_code == 200
            assert requests.get(url, headers={"Host": "evil.example"}, timeout=5).status_code == 400
        # As a proxy that ends TLS passes it on.
        passed = {"Host": "desk.example", "Origin": "https://desk.example"}
        assert requests.post(f"{stack.web_url}/trade", json=TRADE, headers=passed, timeout=5).status_code == 201
        assert "curl http://desk.example/trade" in requests.get(stack.web_url, headers=passed, timeout=5).text

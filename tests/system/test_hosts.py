"""Host names, as a real Prometheus, a proxy and a browser send them."""

from pathlib import Path

import requests
from playwright.sync_api import sync_playwright

from tests.conftest import require_program
from tests.system.conftest import FLAGS
from tests.system.prometheus import Prometheus
from tests.system.stack import TRADE, Stack
from tests.waiting import wait_for


def test_prometheus_scrapes_under_an_allowed_name_only(tmp_path: Path) -> None:
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
                assert requests.get(url + route, headers={"Host": "anything"}, timeout=60).status_code == 200
            assert requests.get(url, headers={"Host": "evil.example"}, timeout=60).status_code == 400
        # As a proxy that terminates TLS forwards it.
        forwarded = {"Host": "desk.example", "Origin": "https://desk.example"}
        assert requests.post(f"{stack.web_url}/trade", json=TRADE, headers=forwarded, timeout=60).status_code == 201
        assert "curl http://desk.example/trade" in requests.get(stack.web_url, headers=forwarded, timeout=60).text


READ = "url => fetch(url).then(answer => answer.status, () => 0)"
WRITE = """url => new Promise(done => {
  const form = document.createElement("form");
  Object.assign(form, { action: url, method: "post", target: "answer" });
  const frame = document.createElement("iframe");
  Object.assign(frame, { name: "answer", onload: () => done() });
  document.body.append(frame, form);
  form.submit();
})"""


def test_a_page_using_dns_rebinding_reads_and_writes_nothing(shared: Stack) -> None:
    chromium = require_program("chromium", "chromium-browser", "google-chrome")
    seq = shared.journalled()
    # As the attacker's name server answers after the page has loaded.
    rebound = "--host-resolver-rules=MAP evil.example 127.0.0.1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*FLAGS, rebound])
        for url in (shared.web_url, shared.sidecar_url):
            # The attacker's page has its own CSP.
            page = browser.new_context(bypass_csp=True).new_page()
            evil = url.replace("127.0.0.1", "evil.example")
            page.goto(f"{evil}/healthz")
            paths = {"/": 400, "/trades": 400, "/metrics": 400, "/readyz": 200}
            assert {path: page.evaluate(READ, f"{evil}{path}") for path in paths} == paths
            write = f"""fetch("{evil}/trade", {{method: "POST", headers: {{"Content-Type": "application/json"}},
                body: '{{"symbol": "A", "side": "BUY", "price": 1, "qty": 1}}'}}).then(answer => answer.status)"""
            assert page.evaluate(write) == 400
            # Under the server's own name the page is of another origin.
            with page.expect_response(f"{url}/trade") as answered:
                page.evaluate(WRITE, f"{url}/trade")
            assert answered.value.status == 403
        browser.close()
    assert shared.journalled() == seq

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter

from sidecar.server import Server, make_app
from tape.errors import AddressError


class Health:
    wrong: str | None = None

    def check(self) -> str | None:
        return self.wrong


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def url(health: Health) -> Iterator[str]:
    registry = CollectorRegistry()
    Counter("seen", "Seen.", registry=registry).inc()
    server = Server("127.0.0.1", 0)
    server.open(make_app(lambda _: registry, health.check, health.check))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(5)
    server.server_close()


def get(url: str, **headers: str) -> tuple[int, str, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def test_metrics_are_text_and_openmetrics_when_asked_for(url: str) -> None:
    status, kind, body = get(f"{url}/metrics")
    assert (status, kind.split(";")[0]) == (200, "text/plain")
    assert "seen_total 1.0" in body
    status, kind, body = get(f"{url}/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert (status, kind.split(";")[0]) == (200, "application/openmetrics-text")
    assert body.endswith("# EOF\n")


def test_the_landing_page_leads_on(url: str) -> None:
    status, kind, body = get(url)
    assert (status, kind) == (200, "text/html; charset=utf-8")
    assert 'href="/metrics"' in body


@pytest.mark.parametrize("route", ["/healthz", "/readyz"])
def test_health_says_what_is_wrong(url: str, health: Health, route: str) -> None:
    assert get(url + route)[0] == 200
    health.wrong = "thread consumer is dead"
    status, kind, body = get(url + route)
    assert (status, kind) == (503, "application/json")
    assert "thread consumer is dead" in body


def test_other_routes_and_methods_are_refused(url: str) -> None:
    assert get(f"{url}/nope")[0] == 404
    request = urllib.request.Request(f"{url}/metrics", data=b"x", method="POST")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=5)
    assert caught.value.code == 405
    caught.value.close()


def test_until_it_is_opened_nobody_is_answered() -> None:
    server = Server("127.0.0.1", 0)
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=5)
    server.server_close()


def test_a_port_in_use_is_said_in_one_line(url: str) -> None:
    port = int(url.rpartition(":")[2])
    with pytest.raises(AddressError, match=f"cannot bind http://127.0.0.1:{port}: it is in use"):
        Server("127.0.0.1", port)

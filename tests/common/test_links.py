from pathlib import Path

import pytest

from common.links import find_links, find_reachable
from common.settings import Settings

LOCAL = {
    "Desk": "http://127.0.0.1:8000",
    "Sidecar": "http://127.0.0.1:8001",
    "Prometheus": "http://127.0.0.1:9090",
    "Grafana": "http://127.0.0.1:3000",
}


@pytest.mark.parametrize("own", LOCAL)
@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "desk.localhost:8000", "[::1]:8000"])
def test_a_part_links_to_the_others_by_default(own: str, host: str) -> None:
    assert find_links(Settings(), own, host) == {name: url for name, url in LOCAL.items() if name != own}


@pytest.mark.parametrize("host", ["desk.example", "10.0.0.1:8000", "", "not a host"])
def test_what_is_on_loopback_is_not_linked_for_a_browser_elsewhere(host: str) -> None:
    assert find_links(Settings(), "Desk", host) == {}
    settings = Settings(prometheus_url="http://127.0.0.1:9090", grafana_url="https://grafana.example/trades")
    assert find_links(settings, "Desk", host) == {"Grafana": "https://grafana.example/trades"}


def test_a_part_without_an_address_is_not_linked() -> None:
    settings = Settings(sidecar_http_port=0, prometheus_url="", grafana_url="")
    assert find_links(settings, "Desk", "localhost") == {}


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::"])
def test_what_listens_everywhere_has_the_name_by_which_the_browser_came(everywhere: str) -> None:
    settings = Settings(sidecar_http_host=everywhere)
    assert find_links(settings, "Desk", "desk.example")["Sidecar"] == "http://desk.example:8001"
    assert find_links(settings, "Desk", "[fe80::1]:8000")["Sidecar"] == "http://[fe80::1]:8001"


def test_a_server_that_listens_everywhere_is_reached_on_loopback() -> None:
    hosts = ("0.0.0.0", "::", "10.0.0.1", "sidecar")
    assert [find_reachable(host) for host in hosts] == ["127.0.0.1", "::1", "10.0.0.1", "sidecar"]


def test_a_sidecar_with_a_token_is_not_linked() -> None:
    assert "Sidecar" in find_links(Settings(), "Desk", "127.0.0.1")
    assert "Sidecar" not in find_links(Settings(sidecar_token_file=Path("a")), "Desk", "127.0.0.1")

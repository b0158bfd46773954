import dataclasses

import pytest
from flask.testing import FlaskClient

from common import __version__
from common.settings import Settings
from webapp import create_app

PAGES = ("/", "/blotter", "/blotter?side=x", "/docs", "/nowhere")


def read_footer(client: FlaskClient, page: str) -> str:
    text = client.get(page, headers={"Accept": "text/html"}).text
    assert text.count("<footer") == 1
    return text[text.index("<footer") : text.index("</footer>")]


@pytest.mark.parametrize("page", PAGES)
def test_every_page_has_the_version_and_links_to_the_other_parts(client: FlaskClient, page: str) -> None:
    footer = read_footer(client, page)
    assert f"Trading Telemetry {__version__}" in footer
    assert '<a href="http://127.0.0.1:8001">Sidecar</a>' in footer
    assert '<a href="http://127.0.0.1:9090">Prometheus</a>' in footer
    assert '<a href="http://127.0.0.1:3000">Grafana</a>' in footer


def test_an_empty_address_is_not_linked_and_others_are_escaped(settings: Settings) -> None:
    changed = dataclasses.replace(settings, prometheus_url="", grafana_url='http://grafana.example/"><script>')
    footer = read_footer(create_app(changed).test_client(), "/blotter")
    assert "Prometheus" not in footer
    assert "<script>" not in footer
    assert "Grafana" in footer


def test_browsers_find_an_icon_where_they_look_for_one(client: FlaskClient) -> None:
    with client.get("/favicon.ico") as answer:
        assert (answer.status_code, answer.mimetype) == (200, "image/svg+xml")
        assert answer.get_data(as_text=True).startswith("<svg")
    with client.get("/favicon.ico", headers={"If-None-Match": answer.headers["ETag"]}) as again:
        assert again.status_code == 304

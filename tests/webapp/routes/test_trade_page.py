"""The page of a trade: what the sidecar knows of its counting."""

import dataclasses
import re
from collections.abc import Callable
from functools import partial

import pytest
from flask.testing import FlaskClient
from prometheus_client import CollectorRegistry

from common.hosts import HostRule
from common.journal.store import Journal
from common.settings import Settings
from sidecar.counted_answer import encode_counted
from sidecar.counters import Counters
from sidecar.routes import Registries, Routes
from sidecar.state import State
from tests.conftest import append, make_hint, make_trade
from tests.sidecar.test_server import serve
from webapp import create_app


@pytest.fixture
def ask(settings: Settings, journal: Journal) -> Callable[[Callable[[int], bytes]], str]:
    """Return the history on the page of the only trade, when the sidecar answers with ``find``."""
    (event,) = append(journal, [make_trade()])

    def get(find: Callable[[int], bytes]) -> str:
        registries = Registries(CollectorRegistry(), CollectorRegistry())
        routes = Routes(HostRule("127.0.0.1"), registries, lambda: None, lambda: None, find_counted=find)
        with serve(routes.answer) as url:
            app = create_app(dataclasses.replace(settings, sidecar_http_port=int(url.rpartition(":")[2])))
            client: FlaskClient = app.test_client()
            page = client.get(f"/trades/{event.id}", headers={"Accept": "text/html"}).text
        return " ".join(re.sub(r"<[^>]+>", " ", page[page.index('id="history"') :]).split())

    return get


def test_the_page_of_a_trade_says_when_it_was_counted_and_which_request_brought_it(
    ask: Callable[[Callable[[int], bytes]], str], journal: Journal
) -> None:
    counters = Counters(State(journal.journal_id))
    find = partial(encode_counted, counters)
    assert "Not counted yet" in ask(find)
    (event,) = journal.read_after(0)
    hints = [make_hint(event, "my-request")]
    counters.note_requests(hints)
    # AT is 2026-01-31 09:30:00.
    counters.receive(hints, 1769851800.25)
    page = ask(find)
    assert "Counted 2026-01-31T09:30:00.250000Z , 0.250 s after that" in page
    assert "my-request" in page
    counters.settle()
    page = ask(find)
    assert "the time is not kept" in page
    assert "my-request" not in page


@pytest.mark.parametrize("body", [b"no JSON", b"[]", b"{}"])
def test_without_an_answer_it_is_not_known_whether_a_trade_is_counted(
    ask: Callable[[Callable[[int], bytes]], str], body: bytes
) -> None:
    assert "Not known whether it is counted" in ask(lambda _: body)


def test_what_is_known_of_another_journal_is_not_shown(ask: Callable[[Callable[[int], bytes]], str]) -> None:
    other = Counters(State("b" * 32, last_seq=9))
    assert "Not known" in ask(partial(encode_counted, other))

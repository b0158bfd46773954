"""The web process over a hub's journal: it shows the trades of every host, and takes none."""

import csv
import io
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from msgspec import structs

from common.event import Event
from common.journal.hub import Batch
from common.journal.store import Journal
from common.settings import Settings
from tests.conftest import make_event
from tests.webapp.conftest import GOOD
from webapp.services import services

A, B = "a" * 32, "b" * 32


def make_history(journal_id: str, *seqs: int) -> list[Event]:
    return [structs.replace(make_event(seq), journal_id=journal_id, id=f"{journal_id[0]}-{seq}") for seq in seqs]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, relay_host_names={"berlin": A})


@pytest.fixture
def hub(journal: Journal) -> Journal:
    journal.adopt()
    journal.append_batches([Batch(A, 0, make_history(A, 3, 4)), Batch(B, 0, make_history(B, 3))])
    return journal


@pytest.mark.parametrize(
    ("path", "body"),
    [("/trade", GOOD), ("/trade", {}), ("/trades", [GOOD]), ("/trades", [{}]), ("/hooks/open", GOOD), ("/hooks/x", {})],
)
def test_every_write_is_rejected_whether_it_is_valid_or_not(
    client: FlaskClient, hub: Journal, app: Flask, path: str, body: object
) -> None:
    answer = client.post(path, json=body)
    assert (answer.status_code, (answer.json or {})["reason"]) == (403, "hub")
    assert "Send the trade to a host" in (answer.json or {})["detail"]
    assert hub.last_seq() == 3
    assert services(app).metrics.registry.get_sample_value("webapp_trades_rejected_total", {"reason": "hub"}) == 1


def test_a_form_is_rejected_with_a_page(client: FlaskClient, hub: Journal) -> None:
    assert "This is a hub" in client.get("/").text
    answer = client.post("/trade", data={"symbol": "A"}, headers={"Accept": "text/html"})
    assert answer.status_code == 403
    assert "This is a hub" in answer.text
    assert hub.last_seq() == 3


def test_what_is_written_while_the_journal_is_adopted_is_rejected_by_the_journal(
    client: FlaskClient, journal: Journal, app: Flask
) -> None:
    assert not services(app).is_hub()
    journal.adopt()
    answer = client.post("/trade", json=GOOD)
    assert (answer.status_code, (answer.json or {})["reason"]) == (403, "hub")
    assert journal.last_seq() == 0


def test_a_hub_without_its_journal_says_what_is_wrong(client: FlaskClient, settings: Settings) -> None:
    settings.journal_path.mkdir()
    answer = client.post("/trade", json=GOOD)
    assert (answer.status_code, (answer.json or {})["reason"]) == (503, "journal_unopenable")


@pytest.mark.parametrize(
    ("host", "found"), [("berlin", [(A, 3), (A, 4)]), (A, [(A, 3), (A, 4)]), (B, [(B, 3)]), ("0" * 32, [])]
)
def test_trades_are_filtered_by_the_name_or_the_id_of_their_host(
    client: FlaskClient, hub: Journal, host: str, found: list[tuple[str, int]]
) -> None:
    answers = [client.get(f"/trades?host={host}").json["trades"], client.get(f"/blotter.json?host={host}").json]  # type: ignore[index]
    for trades in answers:
        assert [(trade["host_journal_id"], trade["host_seq"]) for trade in trades] == found
        assert {trade["journal_id"] for trade in trades} <= {hub.journal_id}


def test_an_unknown_name_of_a_host_is_an_error(client: FlaskClient, hub: Journal) -> None:
    answer = client.get("/trades?host=tokyo")
    assert answer.status_code == 422
    assert "tokyo" in str((answer.json or {})["errors"]["host"])
    assert "RELAY_HOST_NAMES" in client.get("/blotter?host=tokyo").text
    assert hub.last_seq() == 3


def test_the_blotter_shows_and_downloads_the_host_of_each_trade(client: FlaskClient, hub: Journal) -> None:
    page = client.get("/blotter").text
    assert "<td>berlin</td>" in page
    assert f"<td>{B}</td>" in page
    rows = list(csv.DictReader(io.StringIO(client.get("/blotter.csv").text)))
    assert [(row["seq"], row["host_journal_id"], row["host_seq"]) for row in rows] == [
        ("1", A, "3"),
        ("2", A, "4"),
        ("3", B, "3"),
    ]
    assert hub.last_seq() == 3


def test_a_journal_that_is_no_hub_has_no_hosts(client: FlaskClient, journal: Journal) -> None:
    assert client.post("/trade", json=GOOD).status_code == 201
    assert client.get("/trades?host=berlin").json["trades"] == []  # type: ignore[index]
    assert "host_seq" not in client.get("/trades").json["trades"][0]  # type: ignore[index]
    assert "Host" not in client.get("/blotter").text
    assert "host_seq" not in client.get("/blotter.csv").text
    assert "This is a hub" not in client.get("/").text
    assert journal.last_seq() == 1


@pytest.mark.usefixtures("hub")
def test_the_blotter_totals_the_trades_of_one_host(client: FlaskClient) -> None:
    page = client.get("/blotter?host=berlin")
    assert page.status_code == 200
    assert '<th scope="row">USDT</th><td class="number">2</td>' in page.text
    assert '<th scope="row">USDT</th><td class="number">1</td>' in client.get(f"/blotter?host={B}").text


def test_no_trade_of_a_host_that_is_no_hub_is_of_another(client: FlaskClient, journal: Journal) -> None:
    journal.open()
    assert client.get(f"/blotter?host={A}").status_code == 200

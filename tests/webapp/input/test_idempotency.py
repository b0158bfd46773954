import hashlib
import json
import threading
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from common.errors import KeyReusedError
from common.journal.appending import AppendResult, Request
from common.journal.keys import Key
from common.journal.store import Journal
from common.settings import Settings
from tests.common.journal.test_migrations import make_version_1
from tests.webapp.conftest import GOOD, read_token
from webapp.input.idempotency import make_trade_key
from webapp.publisher import Publisher


def send(client: FlaskClient, key: str, **fields: object) -> TestResponse:
    return client.post("/trade", json=GOOD | fields, headers={"Idempotency-Key": key})


@given(st.dictionaries(st.sampled_from(list(GOOD)), st.text() | st.text(st.characters(max_codepoint=127)), min_size=1))
def test_a_digest_is_that_of_the_json_that_version_1_wrote(values: dict[str, str]) -> None:
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).digest()
    assert make_trade_key("source:bot", "k", values) == Key("source:bot", "k", digest)


@pytest.mark.parametrize("key", ['"8e03978e"', "8e03978e", "a" * 255])
def test_the_same_key_and_fields_get_the_first_answer_and_write_nothing(
    client: FlaskClient, journal: Journal, key: str
) -> None:
    first, again = send(client, key), send(client, key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert (first.data, first.headers["Location"]) == (again.data, again.headers["Location"])
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert journal.last_seq() == 1


def test_a_trade_without_ts_is_the_same_trade_when_it_is_sent_again(client: FlaskClient, journal: Journal) -> None:
    body = json.dumps({name: value for name, value in GOOD.items() if name != "ts"})
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    first = client.post("/trade", data=body, headers=headers)
    again = client.post("/trade", data=body.replace(",", " , "), headers=headers)
    assert first.data == again.data
    assert journal.last_seq() == 1


def test_the_same_key_with_other_fields_is_rejected(client: FlaskClient, journal: Journal) -> None:
    send(client, "k")
    other = send(client, "k", price="1")
    assert other.status_code == 422
    assert other.json is not None
    assert other.json["reason"] == "key_reused"
    assert journal.last_seq() == 1


def test_a_key_is_found_from_any_address(client: FlaskClient, journal: Journal) -> None:
    first = send(client, "k")
    for price, status in ((GOOD["price"], 201), ("1", 422)):
        again = client.post(
            "/trade",
            json=GOOD | {"price": price},
            headers={"Idempotency-Key": "k"},
            environ_overrides={"REMOTE_ADDR": "10.0.0.9"},
        )
        assert again.status_code == status
        assert (again.data == first.data) == (status == 201)
    assert journal.last_seq() == 1


def test_a_key_belongs_to_the_source_of_its_trade(client: FlaskClient, journal: Journal) -> None:
    answers = [send(client, "k", **fields) for fields in ({}, {"source": "a"}, {"source": "b"}, {"source": "a"})]
    assert [(answer.json or {})["seq"] for answer in answers] == [1, 2, 3, 2]
    assert send(client, "k", source="b", ref="1").status_code == 422
    assert journal.last_seq() == 3


def test_a_rejected_trade_does_not_use_its_key(client: FlaskClient) -> None:
    assert send(client, "k", price="-1").status_code == 422
    assert send(client, "k").status_code == 201


@pytest.mark.parametrize("key", ["", " ", "two words", '"open', "ü", "a" * 256, '""'])
def test_a_malformed_key_is_rejected_by_name(client: FlaskClient, journal: Journal, key: str) -> None:
    answer = send(client, key)
    assert answer.status_code == 400
    assert "Idempotency-Key is" in answer.text
    assert journal.last_seq() == 0


def test_a_second_request_is_409_while_the_first_is_in_flight(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, gate = threading.Event(), threading.Event()
    real = Publisher._append  # noqa: SLF001 - the commit itself must wait

    def slow(self: Publisher, requests: list[Request]) -> tuple[list[AppendResult | KeyReusedError], float]:
        entered.set()
        gate.wait(60)
        return real(self, requests)

    monkeypatch.setattr(Publisher, "_append", slow)
    answers: list[Any] = []
    first = threading.Thread(target=lambda: answers.append(send(app.test_client(), "k")))
    first.start()
    assert entered.wait(60)
    second = send(client, "k")
    assert second.status_code == 409
    assert second.headers["Retry-After"] == "1"
    gate.set()
    first.join(10)
    assert answers[0].status_code == 201
    assert send(client, "k").data == answers[0].data


def test_a_key_is_kept_as_long_as_its_trade_is_in_the_journal(client: FlaskClient, journal: Journal) -> None:
    for key in ("first", "second"):
        assert send(client, key).status_code == 201
    journal.prune(1, b"{}")
    assert "Idempotent-Replayed" not in send(client, "first").headers
    assert "Idempotent-Replayed" in send(client, "second").headers
    assert journal.last_seq() == 3


def test_a_key_of_a_version_1_journal_is_found_from_any_address(client: FlaskClient, settings: Settings) -> None:
    body = GOOD | {"price": 27123.45, "qty": "0.250"}
    # As in version 1, the digest of the fields as they were sent.
    payload = hashlib.sha256(json.dumps(GOOD | {"price": "27123.45", "qty": "0.250"}, sort_keys=True).encode())
    keys = [("10.0.0.1", "other", "x"), ("10.0.0.2", "k", "x"), ("form", "k", payload.hexdigest())]
    make_version_1(
        settings.journal_path,
        "".join(
            f"INSERT INTO keys VALUES ('{c}', '{k}', '{p}', 2, '2026-01-31T09:30:00.000000Z');" for c, k, p in keys
        ),
    )
    again = client.post("/trade", json=body, headers={"Idempotency-Key": "k"})
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert (again.json or {})["seq"] == 2
    assert send(client, "k", price="1").status_code == 422
    assert send(client, "other").status_code == 422
    assert (send(client, "other", source="a").json or {})["seq"] == 3
    with Journal(settings.journal_path) as journal:
        assert journal.last_seq() == 3
        journal.prune(2, b"{}")
        assert journal.query("SELECT * FROM keys") == []
    assert "Idempotent-Replayed" not in client.post("/trade", json=body, headers={"Idempotency-Key": "k"}).headers


def read_key(page: str) -> str:
    return page.split('name="idempotency_key" type="hidden" value="')[1].split('"', maxsplit=1)[0]


def test_a_form_sent_twice_is_one_trade(client: FlaskClient, journal: Journal) -> None:
    page = client.get("/").text
    form = GOOD | {"csrf_token": read_token(page), "idempotency_key": read_key(page)}
    for _ in range(2):
        assert client.post("/trade", data=form).status_code == 303
        assert "Accepted as #1" in client.get("/").text
    assert journal.last_seq() == 1
    assert read_key(client.get("/").text) != read_key(page)


def test_a_form_sent_again_with_other_values_must_be_confirmed(client: FlaskClient, journal: Journal) -> None:
    page = client.get("/").text
    form = GOOD | {"csrf_token": read_token(page), "idempotency_key": read_key(page)}
    client.post("/trade", data=form)
    answer = client.post("/trade", data=form | {"price": "27000"})
    assert answer.status_code == 422
    assert "Sent before with other values." in answer.text
    assert 'value="27000"' in answer.text
    fresh = form | {"price": "27000", "idempotency_key": read_key(answer.text)}
    assert client.post("/trade", data=fresh).status_code == 303
    assert journal.last_seq() == 2


def test_a_corrected_form_keeps_its_key(client: FlaskClient, journal: Journal) -> None:
    page = client.get("/").text
    form = GOOD | {"csrf_token": read_token(page), "idempotency_key": read_key(page)}
    answer = client.post("/trade", data=form | {"price": "x"})
    assert read_key(answer.text) == read_key(page)
    assert client.post("/trade", data=form).status_code == 303
    assert journal.last_seq() == 1

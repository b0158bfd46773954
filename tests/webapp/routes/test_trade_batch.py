import gzip
import json
import tracemalloc
from collections.abc import Iterable, Iterator
from typing import Any
from unittest.mock import patch

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError
from msgspec.structs import replace
from werkzeug.test import TestResponse

from common.journal.store import Journal
from common.settings import Settings
from tests.webapp.conftest import GOOD
from webapp import create_app
from webapp.input import batch
from webapp.input.json_body import BadBodyError
from webapp.services import services

LINES = "application/x-ndjson"


def trades(count: int, **fields: object) -> list[dict[str, object]]:
    return [GOOD | {"price": str(number)} | fields for number in range(1, count + 1)]


def send(client: FlaskClient, body: object, kind: str = "application/json", **headers: str) -> TestResponse:
    data = body if isinstance(body, str | bytes) else json.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/trades", data=data, content_type=kind, headers=named)


def problem(answer: TestResponse, status: int, reason: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.data
    found: dict[str, Any] = json.loads(answer.data)
    assert found["reason"] == reason
    return found


def numbers(accepted: int, duplicates: int, first: int | None, last: int | None) -> dict[str, int | None]:
    return {"accepted": accepted, "duplicates": duplicates, "first_seq": first, "last_seq": last}


def to_lines(values: Iterable[object]) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


@pytest.mark.parametrize("count", [1, 2, 1000])
@pytest.mark.parametrize("kind", ["application/json", LINES])
@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_a_batch_is_accepted_with_contiguous_numbers(
    client: FlaskClient, journal: Journal, count: int, kind: str, encoding: str
) -> None:
    sent = trades(count)
    body = to_lines(sent) if kind == LINES else json.dumps(sent).encode()
    if encoding:
        body = gzip.compress(body)
    client.post("/trade", json=GOOD)
    answer = send(client, body, kind, Content_Encoding=encoding)
    assert answer.status_code == 201
    assert answer.json == numbers(count, 0, 2, count + 1)
    events = journal.read_after(1)
    assert [event.seq for event in events] == list(range(2, count + 2))
    assert [event.price for event in events] == [trade["price"] for trade in sent]
    assert len({event.accepted_at for event in events}) == 1


def test_the_events_are_returned_when_they_are_preferred(client: FlaskClient, journal: Journal) -> None:
    answer = send(client, trades(2), Prefer="respond-async, return=representation")
    assert answer.headers["Preference-Applied"] == "return=representation"
    assert answer.json is not None
    assert [event["seq"] for event in answer.json["trades"]] == [1, 2]
    assert answer.json["trades"][1]["id"] == journal.read_after(1)[0].id
    assert answer.json["trades"][0] == client.get(f"/trades/{answer.json['trades'][0]['id']}").json
    assert "trades" not in (send(client, trades(1), Prefer="return=minimal").json or {})


def test_one_bad_trade_rejects_all_and_is_named_by_its_index(client: FlaskClient, journal: Journal) -> None:
    sent = trades(9)
    sent[3] |= {"price": "-1", "side": "HOLD"}
    sent[7] = {"symbol": "A"}
    found = problem(send(client, sent), 422, "invalid")
    assert found["errors"].keys() == {"3", "7"}
    assert found["errors"]["3"].keys() == {"price", "side"}
    assert "-1 is not accepted" in found["errors"]["3"]["price"][0].replace('"', "")
    assert found["errors"]["7"].keys() == {"side", "price", "qty"}
    assert found["detail"].startswith("2 of 9 trades are not accepted, so none is. Trade 3: ")
    assert journal.last_seq() == 0


def test_an_answer_has_the_errors_of_the_first_hundred_trades(client: FlaskClient) -> None:
    found = problem(send(client, trades(150, qty=0)), 422, "invalid")
    assert list(found["errors"]) == [str(index) for index in range(100)]
    assert found["detail"].startswith("100 or more of 150 trades")


VALUES = json.dumps(GOOD)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("[]", "the batch has no trade; expected 1 to 10000"),
        ("", "expected a JSON array of trades"),
        ("{}", "the body is an object; expected a JSON array of trades"),
        ("7", "the body is 7; expected a JSON array of trades"),
        (f"[{VALUES},]", "the body is not JSON"),
        (f"[{VALUES}", "the body is not JSON"),
        (f"[{VALUES}] x", "the body is not JSON"),
        (f'[{VALUES}, {{"side": "BUY", {VALUES[1:]}]', 'trade 1: the body names "side" more than once'),
        (f"[{VALUES}, {'[' * 20}{']' * 20}]", "trade 1"),
        ("[" * 100_000, "expected a JSON array of trades"),
        (b'[{"symbol": "\xff"}]', "UTF-8"),
    ],
)
def test_a_body_that_is_no_batch_is_rejected(client: FlaskClient, journal: Journal, body: str, words: str) -> None:
    answer = send(client, body)
    found = json.loads(answer.data)
    assert answer.status_code in {400, 422}
    if answer.status_code == 400:
        assert found["reason"] == "json"
        assert words in found["detail"]
    else:
        assert found["errors"].keys() == {"1"}
    assert journal.last_seq() == 0


@pytest.mark.parametrize("value", ["5", '"text"', "null", "true", "[]", "[1]"])
def test_an_element_that_is_no_object_is_named_by_its_index(client: FlaskClient, value: str) -> None:
    for body, kind in ((f"[{VALUES},{value}]", "application/json"), (f"{VALUES}\n{value}\n", LINES)):
        found = problem(send(client, body, kind), 422, "invalid")
        assert found["errors"].keys() == {"1"}
        assert "expected a JSON object" in found["errors"]["1"]["trade"][0]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_no_json_is_named_by_index_and_field(client: FlaskClient, number: str) -> None:
    bad = VALUES.replace('"0.25"', number)
    for body, kind in ((f"[{VALUES},{bad}]", "application/json"), (f"{VALUES}\n{bad}", LINES)):
        found = problem(send(client, body, kind), 422, "invalid")
        assert number in found["errors"]["1"]["qty"][0]


def test_a_bad_line_is_named_by_its_number(client: FlaskClient, journal: Journal) -> None:
    lines = [VALUES] * 9
    lines[6] = VALUES[:-1]
    found = problem(send(client, "\n".join(lines), LINES), 400, "json")
    assert found["detail"].startswith("line 7: the body is not JSON")
    assert journal.last_seq() == 0


def test_empty_lines_are_no_trades(client: FlaskClient) -> None:
    assert send(client, f"\n{VALUES}\r\n\r\n  \n{VALUES}\n\n", LINES).json == numbers(2, 0, 1, 2)
    problem(send(client, "\n\n", LINES), 400, "json")


@pytest.fixture
def small(settings: Settings) -> Iterator[FlaskClient]:
    """Yield a client of an application with low limits."""
    values = {"secret_key": settings.secret_key, "journal_path": settings.journal_path}
    app = create_app(Settings(batch_max_trades=3, batch_max_bytes=2048, **values))  # type: ignore[arg-type]
    yield app.test_client()
    services(app).close()


@pytest.mark.parametrize("kind", ["application/json", LINES])
def test_a_batch_over_the_number_of_trades_is_413(small: FlaskClient, kind: str) -> None:
    for count, status in ((3, 201), (4, 413), (9, 413)):
        sent = [{"symbol": "A", "side": "buy", "price": 1, "qty": 1}] * count
        answer = send(small, to_lines(sent) if kind == LINES else sent, kind)
        assert answer.status_code == status
    found = problem(answer, 413, "request_entity_too_large" if "entity" in answer.text else "too_large")
    assert "3 trades" in found["detail"]


def test_a_body_over_the_number_of_bytes_is_413_also_when_it_is_compressed(small: FlaskClient) -> None:
    body = b" " * 2049
    assert "2048 bytes" in problem(send(small, body), 413, "too_large")["detail"]
    assert (
        "2048 bytes" in problem(send(small, gzip.compress(body), Content_Encoding="gzip"), 413, "too_large")["detail"]
    )
    assert send(small, gzip.compress(b" " * 2048), Content_Encoding="gzip").status_code == 400


def test_a_gzip_bomb_takes_no_more_memory_than_the_limit(client: FlaskClient) -> None:
    bomb = b"".join(gzip.compress(bytes(64 * 1024 * 1024)) for _ in range(16))
    assert len(bomb) < 1.1 * 1024 * 1024
    tracemalloc.start()
    try:
        problem(send(client, bomb, Content_Encoding="gzip"), 413, "too_large")
        assert tracemalloc.get_traced_memory()[1] < 40 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_a_wide_array_takes_no_more_memory_than_a_batch(client: FlaskClient) -> None:
    wide = b"[" + b"1," * 4_000_000 + b"1]"
    tracemalloc.start()
    try:
        problem(send(client, wide), 413, "too_large")
        assert tracemalloc.get_traced_memory()[1] < 40 * 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "broken",
    [
        b"no gzip",
        gzip.compress(b"[]", mtime=0)[:-9],
        gzip.compress(b"[]", mtime=0)[:12],
        gzip.compress(b"[]", mtime=0) + b"rest",
        gzip.compress(b"[]", mtime=0)[:-8] + b"\0" * 8,
        b"\x1f\x8b",
    ],
)
def test_broken_gzip_is_400(client: FlaskClient, broken: bytes) -> None:
    assert "gzip" in problem(send(client, broken, Content_Encoding="gzip"), 400, "bad_request")["detail"]


def test_a_gzip_body_of_several_members_is_read_whole(client: FlaskClient) -> None:
    body = gzip.compress(f"{VALUES}\n".encode()) + gzip.compress(VALUES.encode())
    assert send(client, body, LINES, Content_Encoding="GZIP").json == numbers(2, 0, 1, 2)


def test_two_trades_in_a_line_do_not_make_up_for_one_in_two(client: FlaskClient, journal: Journal) -> None:
    first, second = VALUES[:-1].rsplit(",", 1)
    for body in (f"{VALUES},{VALUES}\n{first}\n{second}}}", f"{first}\n{second}}}\n{VALUES},{VALUES}"):
        problem(send(client, body, LINES), 400, "json")
    assert journal.last_seq() == 0


def test_another_encoding_or_type_is_415(client: FlaskClient) -> None:
    assert "br" in problem(send(client, "[]", Content_Encoding="br"), 415, "unsupported_media_type")["detail"]
    for kind in ("text/csv", "application/x-www-form-urlencoded", ""):
        detail = problem(send(client, "[]", kind), 415, "unsupported_media_type")["detail"]
        assert "application/json or application/x-ndjson" in detail


def test_a_trade_with_a_key_is_written_once(client: FlaskClient, journal: Journal) -> None:
    first = [trade | {"key": f"k-{index}"} for index, trade in enumerate(trades(3))]
    assert send(client, first).json == numbers(3, 0, 1, 3)
    assert send(client, first).json == numbers(0, 3, None, None)
    more = [*first, GOOD | {"price": "9", "key": "k-9"}]
    assert send(client, to_lines(more), LINES).json == numbers(1, 3, 4, 4)
    answer = send(client, more, Prefer="return=representation").json
    assert answer is not None
    assert [event["seq"] for event in answer["trades"]] == [1, 2, 3, 4]
    assert journal.last_seq() == 4


def test_a_key_with_other_fields_is_an_error_at_its_index(client: FlaskClient, journal: Journal) -> None:
    send(client, [GOOD | {"key": "a"}])
    found = problem(send(client, [GOOD, GOOD | {"price": "7", "key": "a"}]), 422, "key_reused")
    assert found["errors"].keys() == {"1"}
    assert found["errors"]["1"].keys() == {"key"}
    assert journal.last_seq() == 1


def test_a_key_twice_in_one_batch_is_one_trade_or_an_error(client: FlaskClient, journal: Journal) -> None:
    assert send(client, [GOOD | {"key": "a"}, GOOD | {"key": "a"}]).json == numbers(1, 1, 1, 1)
    found = problem(send(client, [GOOD | {"key": "b"}, GOOD | {"price": "7", "key": "b"}]), 422, "key_reused")
    assert found["errors"].keys() == {"1"}
    assert journal.last_seq() == 1


def test_a_key_belongs_to_the_source_and_is_shared_with_single_trades(client: FlaskClient, journal: Journal) -> None:
    bots = [GOOD | {"source": source, "key": "1"} for source in ("bot-1", "bot-2")]
    assert send(client, [*bots, GOOD | {"key": "1"}]).json == numbers(3, 0, 1, 3)
    single = client.post("/trade", json=GOOD | {"source": "bot-1"}, headers={"Idempotency-Key": "1"})
    assert single.headers["Idempotent-Replayed"] == "true"
    assert single.json is not None
    assert single.json["seq"] == 1
    assert journal.last_seq() == 3


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "k" * 256, "\n", 5, None])
def test_a_malformed_key_is_an_error_at_its_index(client: FlaskClient, key: object) -> None:
    assert problem(send(client, [GOOD | {"key": key}]), 422, "invalid")["errors"]["0"].keys() == {"key"}


def test_a_request_key_names_the_whole_batch(client: FlaskClient, journal: Journal) -> None:
    first = send(client, trades(3), Idempotency_Key="batch-1")
    again = send(
        client, gzip.compress(json.dumps(trades(3)).encode()), Content_Encoding="gzip", Idempotency_Key="batch-1"
    )
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json == first.json == numbers(3, 0, 1, 3)
    assert "errors" not in problem(send(client, trades(2), Idempotency_Key="batch-1"), 422, "key_reused")
    assert send(client, trades(2, source="bot"), Idempotency_Key="batch-1").json == numbers(2, 0, 4, 5)
    problem(send(client, trades(1), Idempotency_Key="a b"), 400, "bad_request")
    assert journal.last_seq() == 5


TEXTS = st.one_of(
    st.sampled_from(
        ["BUY", "btc", "1", "0", "1.50", "1e-7", "1e400", "NaN", "2026-01-31T09:30:00Z", "other", "\ud800"]
    ),
    st.text(max_size=6),
)
SENT = st.fixed_dictionaries(
    {},
    optional={
        name: st.one_of(st.sampled_from([value]), TEXTS, st.integers(), st.booleans(), st.none())
        for name, value in {**GOOD, "source": "bot", "ref": "r-1", "fee": "0.1", "key": "k", "more": "x"}.items()
    },
)


@given(sent=SENT, escaped=st.booleans())
def test_the_quick_way_reads_what_the_schema_reads(sent: dict[str, object], *, escaped: bool) -> None:
    try:
        row = json.dumps(sent, ensure_ascii=escaped).encode()
    except UnicodeEncodeError:
        return
    quick = batch.read_quickly(row)
    try:
        full = batch.read_fully(row, "trade 0")
    except (ValidationError, BadBodyError):
        full = None
    if quick is not None:
        # A time that was left out is now, twice.
        assert full is not None
        assert replace(quick, trade=replace(quick.trade, ts=full.trade.ts)) == full
        assert "ts" not in sent or quick.trade.ts == full.trade.ts
    elif full is not None:
        # Only what has an escape is left to the schema.
        assert b"\\" in row


def split(sent: batch.SentTrades) -> list[batch.SentTrade]:
    without: tuple[list[str | None], list[bytes]] = ([None] * len(sent.trades), [b""] * len(sent.trades))
    return list(map(batch.SentTrade, sent.trades, sent.names or without[0], sent.digests or without[1]))


@given(every=st.lists(SENT, min_size=1, max_size=8), step=st.integers(1, 8))
def test_a_batch_is_read_as_its_trades_are(every: list[dict[str, object]], step: int) -> None:
    try:
        rows = [json.dumps(sent, ensure_ascii=False).encode() for sent in every]
    except UnicodeEncodeError:
        return
    full = [batch.read_quickly(row) for row in rows]
    for body, lines in ((b"[%b]" % b",".join(rows), False), (b"\n".join(rows), True)):
        try:
            with patch.object(batch, "_STEP_ROWS", step):
                found = batch.read_batch(body, lines=lines, limit=8, pause=lambda: None)
        except (batch.BatchError, BadBodyError):
            assert None in full
            continue
        for quick, each in zip(split(found), full, strict=True):
            # One with an escape is left to the schema, and a time that was left out is now.
            assert each is None or replace(quick, trade=replace(quick.trade, ts=each.trade.ts)) == each


@pytest.mark.parametrize(
    ("number", "fee"),
    [("0", "0"), ("0.0", "0.0"), ("7", "7"), ("1e-7", "0.0000001"), ("12345678901234567890", "12345678901234567890")]
    + [(bad, None) for bad in ("-0", "-0.0", "-1", "true", "null", "[1]", '{"a":1}', "1e400", "9" * 5000)],
)
def test_a_number_is_read_by_its_digits_on_the_quick_way(client: FlaskClient, number: str, fee: str | None) -> None:
    answer = send(client, f'[{VALUES[:-1]}, "fee": {number}}}]', Prefer="return=representation")
    assert answer.status_code == (422 if fee is None else 201)
    if fee is not None:
        assert (answer.json or {})["trades"][0]["fee"] == fee


@pytest.mark.parametrize("cut", ["{0}{0}", "{0},{0}", "{0} {0}"])
def test_two_trades_in_a_line_are_named_by_its_number(client: FlaskClient, cut: str) -> None:
    found = problem(send(client, f"{VALUES}\n{cut.format(VALUES)}\n", LINES), 400, "json")
    assert found["detail"].startswith("line 2: ")


def test_a_name_given_twice_is_found_by_the_quick_way() -> None:
    twice = f'{{"side": "SELL", {VALUES[1:]}'.encode()
    assert batch.read_quickly(VALUES.encode()) is not None
    assert batch.read_quickly(twice) is None

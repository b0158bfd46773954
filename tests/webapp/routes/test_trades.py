import json
import re
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from common.event import SEQ_MAX, Event
from common.journal.store import Journal
from tests.webapp.conftest import GOOD
from webapp import search
from webapp.input.json_body import BadBodyError, read_pairs
from webapp.reader import JournalReader


def post(client: FlaskClient, body: str | bytes, kind: str = "application/json") -> TestResponse:
    return client.post("/trade", data=body, content_type=kind)


def send(client: FlaskClient, **fields: object) -> TestResponse:
    return client.post("/trade", json=GOOD | fields)


def problem(answer: TestResponse, status: int) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.mimetype == "application/problem+json"
    found: dict[str, Any] = json.loads(answer.data)
    assert found["status"] == status
    assert {"type", "title", "detail", "reason", "request_id"} <= set(found)
    return found


def test_an_accepted_trade_is_answered_with_its_event(client: FlaskClient, journal: Journal) -> None:
    answer = send(client, symbol="btcusdt", side="buy", ts="2026-01-31T10:30:00.5+01:00")
    assert answer.status_code == 201
    event = answer.json
    assert event is not None
    assert event.pop("id") == answer.headers["Location"].removeprefix("/trades/")
    assert event.pop("accepted_at").endswith("Z")
    assert event == {
        "seq": 1,
        "journal_id": journal.journal_id,
        "ts": "2026-01-31T09:30:00.500000Z",
        "symbol": "BTCUSDT",
        "side": "BUY",
        "price": "27123.450",
        "qty": "0.25",
        "source": "",
        "ref": None,
        "fee": None,
    }
    assert client.get(answer.headers["Location"]).data == answer.data
    assert journal.read_after(0)[0].price == "27123.450"


@pytest.mark.parametrize(
    "number", ["0.1", "1.10", "12345678901234567890.123456789012345678", "0.000000000000000001", "3", "9" * 20]
)
def test_a_decimal_keeps_every_digit_as_text_and_as_a_number(client: FlaskClient, number: str) -> None:
    body = json.dumps(GOOD).replace('"27123.450"', number).replace('"0.25"', f'"{number}"')
    event = post(client, body).json
    assert event is not None
    assert (event["price"], event["qty"]) == (number, number)


@pytest.mark.parametrize(
    ("sent", "kept"), [("1e-7", "0.0000001"), ("1E+3", "1000"), ("2.50e1", "25.0"), ("5e-18", f"0.{'0' * 17}5")]
)
def test_an_exponent_is_written_out_as_text_and_as_a_number(client: FlaskClient, sent: str, kept: str) -> None:
    body = json.dumps(GOOD).replace('"27123.450"', sent).replace('"0.25"', f'"{sent}"')
    event = post(client, body).json
    assert event is not None
    assert (event["price"], event["qty"]) == (kept, kept)


def test_ts_is_now_by_default_and_may_be_any_past_time(client: FlaskClient) -> None:
    without = {name: value for name, value in GOOD.items() if name != "ts"}
    event = client.post("/trade", json=without).json
    assert event is not None
    assert abs(datetime.fromisoformat(event["ts"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert send(client, ts="1970-01-01T00:00:00Z").status_code == 201
    ahead = datetime.now(UTC) + timedelta(seconds=30)
    assert send(client, ts=ahead.isoformat()).status_code == 201


OPTIONAL = [
    {"source": "a"},
    {"source": "Grid_2.BTC-usdt", "ref": "84213-A", "fee": "0.0750"},
    {"source": "Other", "ref": " two words ", "fee": 0},
    {"source": "s" * 64, "ref": '«№ 7» 🚀 \'=1+1,"x"', "fee": "0.000"},
    {"ref": "é" * 64, "fee": "123456789012345678.123456789012"},
]


@pytest.mark.parametrize("given", OPTIONAL, ids=lambda given: ascii(given)[:40])
def test_source_ref_and_fee_are_kept_as_they_were_sent(
    client: FlaskClient, journal: Journal, given: dict[str, object]
) -> None:
    answer = send(client, **given)
    assert answer.status_code == 201
    expected = {"source": "", "ref": None, "fee": None} | given
    expected["fee"] = None if expected["fee"] is None else str(expected["fee"])
    assert {name: (answer.json or {})[name] for name in expected} == expected
    (event,) = journal.read_after(0)
    assert {name: getattr(event, name) for name in expected} == expected
    (listed,) = (client.get("/trades").json or {})["trades"]
    assert listed == answer.json


BAD_DECIMALS = [
    None,
    "",
    " ",
    "abc",
    "0",
    "0.0",
    "-1",
    "+1",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e400",
    "1e-40",
    "1e20",
    "1e-19",
    "9" * 40,
    "0." + "1" * 40,
    "123456789012345678901",
    "0.1234567890123456789",
    ".5",
    "5.",
    "1,5",
    "1_000",
    "0x10",
    "\uff11",
    "1\n",
    "1\u0000",
    True,
    False,
    [],
    {},
    ["1"],
    {"a": 1},
]
BAD_FIELDS: dict[str, list[object]] = {
    "symbol": [
        None,
        "",
        " ",
        " BTC",
        "BTC ",
        "A" * 65,
        "😀" * 65,
        "B\u0000C",
        "A\u00a0B",
        "\u202eBTC",
        "\u2066BTC",
        "\u200b",
        "\ud800",
        1,
        True,
        [],
        {},
        "A\n",
    ],
    "side": [None, "", "HOLD", "\u017fell", "B", 1, True, [], {}, "BUY\u0000", " BUY"],
    "price": list(BAD_DECIMALS),
    "qty": list(BAD_DECIMALS),
    "source": [
        None,
        "",
        " ",
        "a b",
        "other",
        "s" * 65,
        "é",
        "\uff21",
        "a\n",
        "a/b",
        "\u0000",
        "\ud800",
        1,
        True,
        [],
        {},
    ],
    "ref": [None, "", "r" * 65, "a\tb", "a\n", "\u0000", "\u202e", "\u2028", "\ud800", 1, True, [], {}],
    "fee": [value for value in BAD_DECIMALS if value not in ("0", "0.0")],
    "ts": [
        None,
        "",
        "now",
        "2026-01-31",
        "2026-01-31T09:30:00",
        "2026-13-31T09:30:00Z",
        1700000000,
        True,
        [],
        {},
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "2026-01-31T09:30:00Z\u0000",
        "9998-12-31T00:00:00Z",
    ],
}
CASES = [(field, value) for field, values in BAD_FIELDS.items() for value in values]


def show_sent(value: object) -> str:
    if not isinstance(value, str):
        return {"{": "an object", "[": "an array"}.get(json.dumps(value)[0], json.dumps(value))
    shown = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in value[:64])
    return f'"{shown}"' if len(value) <= 64 else f'"{shown}…" ({len(value)} characters) is'


@pytest.mark.parametrize(("field", "value"), CASES, ids=lambda value: ascii(value)[:30])
def test_a_bad_value_is_rejected_with_the_name_of_its_field(
    client: FlaskClient, journal: Journal, field: str, value: object
) -> None:
    errors = problem(send(client, **{field: value}), 422)["errors"]
    assert list(errors) == [field]
    (message,) = errors[field]
    assert message.startswith(show_sent(value))
    assert "expected" in message
    assert journal.last_seq() == 0


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e400", "1e-40", "-0", "0.0", "0e5", "-3", "9" * 40]
)
def test_a_bad_json_number_is_rejected_as_it_was_written(client: FlaskClient, journal: Journal, number: str) -> None:
    body = json.dumps(GOOD).replace('"0.25"', number)
    errors = problem(post(client, body), 422)["errors"]
    assert errors["qty"][0].startswith(f"{number} is not accepted")
    assert journal.last_seq() == 0


@pytest.mark.parametrize("field", ["symbol", "side", "price", "qty"])
def test_a_missing_field_is_named(client: FlaskClient, journal: Journal, field: str) -> None:
    without = {name: value for name, value in GOOD.items() if name != field}
    errors = problem(client.post("/trade", json=without), 422)["errors"]
    assert errors[field][0].startswith("missing; expected")
    assert journal.last_seq() == 0


@pytest.mark.parametrize(
    "field", ["venue", "id", "key", "seq", "journal_id", "accepted_at", "__proto__", "csrf_token", ""]
)
def test_an_unknown_field_is_rejected(client: FlaskClient, journal: Journal, field: str) -> None:
    assert "unknown field" in problem(send(client, **{field: "x"}), 422)["errors"][field][0]
    assert journal.last_seq() == 0


def test_a_time_ahead_of_the_server_is_answered_with_its_time(client: FlaskClient) -> None:
    before = datetime.now(UTC)
    ahead = (before + timedelta(days=1)).isoformat()
    (message,) = problem(send(client, ts=ahead), 422)["errors"]["ts"]
    found = re.fullmatch(
        r'"(.+)" is not accepted; expected a time at most 60 s ahead \(the server\'s time is (.+Z)\)', message
    )
    assert found is not None
    assert found[1] == ahead
    assert timedelta(0) <= datetime.fromisoformat(found[2]) - before < timedelta(minutes=1)


@pytest.mark.parametrize("name", ["USD₮ №7", "漢字", "a\\b", 'x "quoted"', "é" * 64])
def test_a_printable_text_is_shown_as_it_is_in_the_bytes_of_the_answer(client: FlaskClient, name: str) -> None:
    written = json.dumps(name, ensure_ascii=False)[1:-1]
    assert rf"\"{written}\" is not accepted" in send(client, price=name).text
    assert f'"{written}": ["unknown field' in send(client, **{name: 1}).text


def test_a_message_is_short_before_its_details(client: FlaskClient) -> None:
    body = dict.fromkeys((*GOOD, "source", "ref", "fee", "venue"), "\u202e")
    answers = [send(client, **body), client.post("/trade", json={"venue": 1}), send(client, fee=None)]
    answers += [
        client.get(f"/{path}") for path in ("trades?side=x&limit=x&colour=1", "blotter.csv?since=x", "market?step=x")
    ]
    for answer in answers:
        for messages in problem(answer, 422)["errors"].values():
            for message in messages:
                statement = re.split(r"[:(]", re.sub(r'^".*?"|^null', "", message))[0]
                assert len(statement.split()) <= 12, message


def test_every_bad_field_is_named_at_once(client: FlaskClient) -> None:
    body = {"symbol": "", "side": "x", "price": 0, "qty": "NaN", "ts": "y", "z": 1}
    assert set(problem(client.post("/trade", json=body), 422)["errors"]) == set(body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("symbol=x", "not JSON"),
        ("[]", "expected a JSON object"),
        ("null", "the body is null"),
        ("1e999", "the body is 1e999"),
        ('"text"', "expected a JSON object"),
        ('{"qty": 1, "qty": 2}', '"qty" more than once'),
        ('{"side": 1, "qty": 1, "price": 1, "qty": 2}', '"qty" more than once'),
        ('{"₮": 1, "₮": 2}', '"₮" more than once'),
        ('{"qty": 1,}', "a comma before } at line 1 column 11"),
        ('{"qty": ,}', "Expecting value: line 1 column 9"),
        ('{"qty": [1,\n]}', "a comma before ] at line 2 column 1"),
        (b"\xff\xfe", "not UTF-8"),
        ("[" * 30_000, "nested too deep"),
        ("[" * 970 + "]" * 970, "expected a JSON object"),
        ("﻿{}", "not JSON"),
        ("{" + ",".join(f'"{n}":1' for n in range(101)) + "}", "more than 100 fields"),
        ('{"x":{' + ",".join(f'"{n}":1' for n in range(101)) + "}}", "more than 100 fields"),
        ('{"x":[' + "1," * 1001 + "1]}", "more than 1000 values"),
        ('{"x":' * 17 + "1" + "}" * 17, "nested too deep"),
        ('{"x":' + "[" * 16 + "]" * 16 + "}", "nested too deep"),
        ("]" * 20 + "[" * 17, "nested too deep"),
        ("[" * 10 + "]" * 5 + "[" * 12, "nested too deep"),
    ],
)
def test_a_body_that_is_not_a_json_object_is_400(
    client: FlaskClient, journal: Journal, body: str | bytes, message: str
) -> None:
    assert message in problem(post(client, body), 400)["detail"]
    assert journal.last_seq() == 0


def test_brackets_in_a_string_are_not_nesting(client: FlaskClient) -> None:
    for text in ("[" * 40, '\\"' + "{" * 40, "\\\\" + "[{" * 20):
        body = json.dumps(GOOD).replace('"BUY"', f'"{text}"')
        assert list(problem(post(client, body), 422)["errors"]) == ["side"]
    body = json.dumps(GOOD).replace('"0.25"', "[" * 15 + "]" * 15)
    assert list(problem(post(client, body), 422)["errors"]) == ["qty"]


def test_the_first_ten_unknown_fields_are_named(client: FlaskClient) -> None:
    errors = problem(send(client, price="x", **{f"no{number}": 1 for number in range(50)}), 422)["errors"]
    assert set(errors) == {"price", *(f"no{number}" for number in range(10))}
    names = [f"page{number}" for number in range(50)]
    assert set(problem(client.get("/trades?" + "&".join(names)), 422)["errors"]) == set(names[:10])


BIG = 60_000
LARGE_BODIES = {
    "a duplicate name": (400, "{" + ",".join(f'"{n}":1' for n in range(6000)) + ',"a":1,"a":1}'),
    "names": (400, "{" + ",".join(f'"{n}":1' for n in range(6000)) + "}"),
    "ninety long names": (422, "{" + ",".join(f'"{n}{"😀" * 170}":1' for n in range(90)) + "}"),
    "a long name": (422, '{"' + "é" * (BIG // 2) + '":1}'),
    "backslashes": (422, '{"' + "\\" * BIG + '":1}'),
    "a long text": (422, json.dumps(GOOD).replace("0.25", "é" * (BIG // 2))),
    "a long number": (422, json.dumps(GOOD).replace('"0.25"', "9" * BIG)),
    "numbers": (400, '{"x":[' + "1," * (BIG // 2) + "1]}"),
    "objects": (400, '{"x":[' + '{"a":1},' * (BIG // 8) + "1]}"),
    "depth": (400, '{"x":' * (BIG // 5)),
}


@pytest.mark.parametrize(("status", "body"), LARGE_BODIES.values(), ids=LARGE_BODIES)
@pytest.mark.parametrize("accept", ["*/*", "text/html"])
def test_no_body_makes_a_large_answer(client: FlaskClient, status: int, body: str, accept: str) -> None:
    headers = {"Accept": accept, "Content-Type": "application/json"}
    answer = client.post("/trade", data=body, headers=headers)
    assert answer.status_code == status
    assert len(answer.data) < 20_000


def test_duplicates_are_found_in_one_pass() -> None:
    # Comparisons are counted, since times vary: a quadratic search made 30 million.
    calls = 0

    class Name(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            nonlocal calls
            calls += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    pairs: list[tuple[str, object]] = [(Name(name), 1) for name in (*range(98), "a", "a")]
    with pytest.raises(BadBodyError, match="more than once"):
        read_pairs(pairs)
    assert calls < 10


def test_a_body_too_large_is_413(client: FlaskClient, journal: Journal) -> None:
    assert "65536" in problem(post(client, json.dumps(GOOD | {"x": "y" * 70_000})), 413)["detail"]
    assert journal.last_seq() == 0


@pytest.mark.parametrize("kind", ["text/plain", "", "application/xml", "multipart/form-data; boundary=x", "text/json"])
def test_another_content_type_is_415(client: FlaskClient, journal: Journal, kind: str) -> None:
    assert "expected application/json" in problem(post(client, json.dumps(GOOD), kind), 415)["detail"]
    assert journal.last_seq() == 0


def test_trades_are_listed_and_paged_forward(client: FlaskClient) -> None:
    for number in range(5):
        send(client, symbol="ETHUSDT" if number % 2 else "BTCUSDT")
    newest = client.get("/trades?limit=2").json
    assert newest is not None
    assert [trade["seq"] for trade in newest["trades"]] == [4, 5]
    assert newest["next"] is None
    seen, after = [], 0
    while after is not None:
        page = client.get(f"/trades?after={after}&limit=2").json
        assert page is not None
        seen += [trade["seq"] for trade in page["trades"]]
        after = page["next"]
    assert seen == [1, 2, 3, 4, 5]
    filtered = client.get("/trades?symbol=ethusdt&side=buy").json
    assert filtered is not None
    assert [trade["seq"] for trade in filtered["trades"]] == [2, 4]


def test_a_page_names_the_journal_and_what_was_pruned(client: FlaskClient, journal: Journal) -> None:
    for _ in range(3):
        send(client)
    for pruned in (0, 2):
        if pruned:
            journal.prune(pruned, b"{}")
        for query in ("", "?after=0", "?after=0&source=none"):
            page: Any = client.get(f"/trades{query}").json
            assert (page["journal_id"], page["pruned_seq"]) == (journal.journal_id, pruned)


def test_trades_are_filtered_by_source(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "SLICE", 2)
    for source in ("a", "b", "a", "A", "a"):
        send(client, source=source)
    send(client)
    for query, seqs in (("source=a", [1, 3, 5]), ("source=a&after=1&symbol=btcusdt", [3, 5]), ("source=c", [])):
        found: Any = client.get(f"/trades?{query}").json
        assert [trade["seq"] for trade in found["trades"]] == seqs
    # No index has the source, so a search reads a bounded part of the journal at a time.
    reads: list[int] = []
    select = JournalReader.select

    def record(reader: JournalReader, **wanted: Any) -> list[Event]:  # noqa: ANN401 - as in JournalReader
        # The feed of an earlier test may still read, in the background.
        if threading.current_thread() is threading.main_thread():
            reads.append((wanted["before"] or SEQ_MAX) - (wanted["after"] or 0) - 1)
        return select(reader, **wanted)

    monkeypatch.setattr(JournalReader, "select", record)
    page: Any = client.get("/trades?source=a&after=0&limit=2").json
    assert reads == [2, 2, 2]
    assert ([trade["seq"] for trade in page["trades"]], page["next"]) == ([1, 3], 3)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("limit=1_0", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=2", "limit"),
        ("after=-1", "after"),
        ("after=9223372036854775808", "after"),
        ("after=1e3", "after"),
        ("symbol=B%00", "symbol"),
        ("side=HOLD", "side"),
        ("source=other", "source"),
        ("source=a+b", "source"),
        ("source=", "source"),
        ("page=2", "page"),
    ],
)
def test_a_bad_query_is_rejected_with_the_name_of_its_parameter(client: FlaskClient, query: str, field: str) -> None:
    assert list(problem(client.get(f"/trades?{query}"), 422)["errors"]) == [field]


@pytest.mark.parametrize("path", ["/trades", "/feed", "/market", "/blotter", "/blotter.csv"])
def test_a_query_that_is_not_utf_8_is_rejected(client: FlaskClient, path: str) -> None:
    for encoded in ("caf%E9", "%ED%A0%80", "%ff"):
        assert "not UTF-8" in problem(client.get(f"{path}?symbol={encoded}"), 400)["detail"]


@pytest.mark.parametrize("accept", ["text/html", "*/*"])
def test_a_name_that_cannot_be_encoded_is_rejected(client: FlaskClient, accept: str) -> None:
    headers = {"Accept": accept, "Content-Type": "application/json"}
    assert client.post("/trade", data='{"\\ud800": 1}', headers=headers).status_code == 422


@pytest.mark.parametrize("depth", range(900, 1000, 3))
def test_no_depth_of_nesting_is_a_server_error(client: FlaskClient, depth: int) -> None:
    body = json.dumps(GOOD).replace('"0.25"', "[" * depth + "]" * depth)
    assert "nested too deep" in problem(post(client, body), 400)["detail"]


def test_an_unknown_id_is_404(client: FlaskClient) -> None:
    assert "unknown" in problem(client.get("/trades/unknown"), 404)["detail"]


def test_another_method_is_405_with_the_allowed_methods(client: FlaskClient) -> None:
    answer = client.put("/trade")
    problem(answer, 405)
    assert "POST" in answer.headers["Allow"]


BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def test_a_browser_gets_a_trade_as_a_page_with_its_history(client: FlaskClient) -> None:
    fields = {"source": "grid", "ref": "84213-A", "fee": "0.10"}
    event = send(client, **fields).json
    assert event
    path = f"/trades/{event['id']}"
    for accept in ("*/*", "application/json", ""):
        answer = client.get(path, headers={"Accept": accept})
        assert (answer.mimetype, answer.json) == ("application/json", event)
        assert "Accept" in answer.headers["Vary"]
    page = client.get(path, headers=BROWSER)
    assert page.mimetype == "text/html"
    assert "Accept" in page.headers["Vary"]
    for text in event.values():
        assert str(text) in page.text
    assert "6780.86250" in page.text
    assert "the sidecar gives no answer about this journal" in page.text
    assert 'href="/blotter?source=grid"' in page.text
    assert client.get("/trades/none", headers=BROWSER).status_code == 404


def test_a_browser_gets_json_as_a_page_with_every_digit(client: FlaskClient) -> None:
    send(client, symbol="<B>", price="123456789012345678.9")
    for path in ("/trades", "/market", "/pipeline", "/readyz"):
        page = client.get(path, headers=BROWSER)
        assert page.mimetype == "text/html"
        assert '<nav aria-label="Pages">' in page.text
        assert client.get(path).mimetype == "application/json"
    assert "&lt;B&gt;" in client.get("/trades", headers=BROWSER).text
    assert "30864197253086419.725" in client.get("/market", headers=BROWSER).text
    assert client.get("/blotter.json", headers=BROWSER).mimetype == "application/json"
    assert client.get("/openapi.json", headers=BROWSER).mimetype == "application/json"

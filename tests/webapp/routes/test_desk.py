import json
import re
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient

from common.errors import JournalError
from common.journal.appending import AppendResult
from common.journal.store import Journal
from tests.webapp.conftest import GOOD, read_token
from tests.webapp.input.test_idempotency import read_key
from webapp.services import services


def post_form(client: FlaskClient, **fields: object) -> tuple[int, str]:
    token = read_token(client.get("/").text)
    answer = client.post("/trade", data=GOOD | {"csrf_token": token} | fields)
    return answer.status_code, unescape(answer.text)


def test_a_posted_trade_redirects_to_the_desk_with_a_message_and_its_row(client: FlaskClient) -> None:
    token = read_token(client.get("/").text)
    answer = client.post("/trade", data=GOOD | {"csrf_token": token, "ts": "", "symbol": " btcusdt "})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    page = client.get("/").text
    assert "Accepted as #1: BUY 0.25 BTCUSDT at 27123.450" in page
    assert '<td class="symbol">BTCUSDT</td>' in page
    assert "Accepted as" not in client.get("/").text


def test_a_form_that_is_not_utf_8_is_rejected(client: FlaskClient, journal: Journal) -> None:
    body = f"symbol=caf%E9&side=BUY&price=1&qty=1&csrf_token={read_token(client.get('/').text)}"
    answer = client.post("/trade", data=body, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 400
    assert "The form is not UTF-8" in answer.text
    assert journal.last_seq() == 0


def test_names_are_shown_as_they_are(client: FlaskClient) -> None:
    status, page = post_form(client, symbol='M&M "₮" <b>', price="x")
    assert status == 422
    assert """'{"symbol": "M&M \\"₮\\" <b>", "side": "BUY",""" in page
    assert post_form(client, symbol='M&M "₮" <b>')[0] == 303
    shown = client.get("/").text
    assert '<td class="symbol">M&amp;M &#34;₮&#34; &lt;b&gt;</td>' in shown
    assert '<option value="M&amp;M &#34;₮&#34; &lt;b&gt;">' in shown


def test_an_invalid_form_is_shown_again_with_its_errors_and_input(client: FlaskClient, journal: Journal) -> None:
    status, page = post_form(client, price="abc", side="HOLD", qty='"><script>')
    assert status == 422
    assert '"abc" is not accepted; expected a decimal above 0' in page
    assert '"HOLD" is not accepted; expected BUY or SELL' in page
    assert 'value="abc"' in page
    assert "look at the marked fields" in page
    assert journal.last_seq() == 0


def test_a_form_has_source_ref_and_fee_and_leaves_out_empty_ones(client: FlaskClient, journal: Journal) -> None:
    assert "<details>" in client.get("/").text
    assert post_form(client, source=" grid ", ref="", fee="0.10")[0] == 303
    (event,) = journal.read_after(0)
    assert (event.source, event.ref, event.fee) == ("grid", None, "0.10")
    status, page = post_form(client, source="other", fee="-1")
    assert status == 422
    assert '"other" is not accepted; expected another name' in page
    assert '"-1" is not accepted; expected 0 or more' in page
    assert "<details open>" in page
    assert '"source": "other"' in page
    assert journal.last_seq() == 1


def test_input_is_escaped(client: FlaskClient) -> None:
    token = read_token(client.get("/").text)
    answer = client.post("/trade", data=GOOD | {"csrf_token": token, "price": '"><script>alert(1)</script>'})
    assert "<script>alert" not in answer.text
    assert 'value="&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"' in answer.text


def test_unknown_and_duplicate_fields_are_rejected_as_in_the_api(client: FlaskClient, journal: Journal) -> None:
    status, page = post_form(client, venue="X", price=["1", "2"])
    assert status == 422
    assert "venue: unknown field" in page
    assert "an array is not accepted" in page
    assert journal.last_seq() == 0


def test_a_form_has_a_size_limit_and_so_has_its_answer(client: FlaskClient) -> None:
    for body in ("a&" * 20_000, "%ff" * 3000, "&".join(f"n{number}=1" for number in range(3000))):
        answer = client.post("/trade", data=body, content_type="application/x-www-form-urlencoded")
        assert answer.status_code == 413
        assert "8192 bytes" in answer.text
    status, page = post_form(client, **{f"n{number}": "1" for number in range(50)})
    assert status == 422
    assert "n9: unknown field" in page
    assert "n10: unknown field" not in page
    status, page = post_form(client, **{"x" * 5000: "1"})
    assert status == 422
    assert "x" * 100 not in page


def test_a_price_far_from_the_last_one_is_asked_about_once(client: FlaskClient, journal: Journal) -> None:
    assert post_form(client, price="100")[0] == 303
    assert post_form(client, price="120")[0] == 303
    status, page = post_form(client, price="$144.1")
    assert status == 422
    assert "20 % above the last price, 120. Send again if right." in page
    assert 'name="confirmed" type="hidden" value="BTCUSDT $144.1"' in page
    assert journal.last_seq() == 2
    # What is confirmed is this price of this symbol.
    assert post_form(client, price="50", confirmed="BTCUSDT $144.1")[0] == 422
    assert post_form(client, price="$144.1", confirmed="BTCUSDT $144.1")[0] == 303
    assert client.post("/trade", json=GOOD | {"price": "1"}).status_code == 201


def test_a_script_gets_the_answers_of_the_api_to_a_form(client: FlaskClient) -> None:
    prefer = {"Prefer": "return=representation", "Accept": "*/*"}
    form = GOOD | {"csrf_token": read_token(client.get("/").text), "price": "$5."}
    accepted = client.post("/trade", data=form, headers=prefer)
    assert (accepted.status_code, accepted.json and accepted.json["price"]) == (201, "5")
    for given, reason in (({"price": "121,50"}, "invalid"), ({"price": "9"}, "unusual_price")):
        rejected = client.post("/trade", data=form | given, headers=prefer)
        assert (rejected.status_code, rejected.json and rejected.json["reason"]) == (422, reason)
        assert rejected.json
        assert list(rejected.json["errors"]) == ["price"]
    expired = client.post("/trade", data=form | {"csrf_token": "x"}, headers=prefer)
    assert expired.status_code == 403
    renewed = form | {"csrf_token": expired.headers["X-CSRFToken"]}
    assert client.post("/trade", data=renewed, headers=prefer).status_code == 201


def test_the_next_form_keeps_what_is_often_the_same(client: FlaskClient) -> None:
    post_form(client, source="grid", side="SELL")
    page = client.get("/").text
    for name, text in {"symbol": "BTCUSDT", "qty": "0.25", "source": "grid", "price": ""}.items():
        assert re.search(rf'name="{name}"[^>]* value="{text}"', page)
    assert re.search(r'<input[^>]* checked [^>]*value="SELL"', page)
    page = client.get("/?symbol=ETHUSDT&side=BUY&price=5&x=1").text
    assert re.search(r'name="symbol"[^>]* value="ETHUSDT"', page)
    assert re.search(r'name="price"[^>]* value="5"', page)


BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def test_a_browser_gets_a_form_without_its_token_again_with_its_input(client: FlaskClient, journal: Journal) -> None:
    for token in ({}, {"csrf_token": "forged"}):
        answer = client.post("/trade", data=GOOD | token, headers=BROWSER)
        assert answer.status_code == 403
        assert "Not sent: the form had expired." in answer.text
        assert 'value="27123.450"' in answer.text
        read_token(answer.text)
    assert journal.last_seq() == 0


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/problem+json", ""])
def test_a_program_gets_told_what_to_send_in_place_of_a_form(
    client: FlaskClient, journal: Journal, accept: str
) -> None:
    for token in ({}, {"csrf_token": "forged"}):
        answer = client.post("/trade", data=GOOD | token, headers={"Accept": accept})
        assert (answer.status_code, answer.mimetype) == (403, "application/problem+json")
        problem = json.loads(answer.data)
        assert problem["reason"] == "csrf"
        assert "Content-Type: application/json" in problem["detail"]
    assert journal.last_seq() == 0
    # What it is told to send is accepted.
    body = problem["detail"].partition("like ")[2]
    assert client.post("/trade", data=body, content_type="application/json").status_code == 201


def test_the_curl_line_is_the_same_request(client: FlaskClient) -> None:
    assert 'curl http://localhost/trade -H \'Content-Type: application/json\' -d \'{"symbol": "BTCUSDT"' in unescape(
        client.get("/").text
    )
    _, page = post_form(client, price="it's", qty="7")
    assert """"price": "it'"'"'s", "qty": "7\"""" in page


def test_an_empty_desk_shows_that_there_are_no_trades(client: FlaskClient) -> None:
    assert "No trades yet." in client.get("/").text


def test_every_response_has_the_security_headers(client: FlaskClient) -> None:
    for route in ("/", "/trades", "/nope", "/static/app.css"):
        with client.get(route) as answer:
            headers = answer.headers
        assert "script-src 'self'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
    page = client.get("/").text
    assert "style=" not in page
    assert "<style" not in page


def test_a_browser_gets_errors_as_pages(client: FlaskClient) -> None:
    answer = client.get("/nope", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert client.get("/nope", headers={"Accept": "*/*"}).mimetype == "application/problem+json"


def test_every_message_above_the_form_has_at_most_12_words(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = client.get("/").text
    form = {"csrf_token": read_token(page), "idempotency_key": read_key(page)}
    client.post("/trade", data=GOOD | form)
    pages = [client.post("/trade", data=GOOD | given, headers=BROWSER).text for given in ({}, form | {"qty": "9"})]
    pages += [post_form(client, **given)[1] for given in ({"price": "abc"}, {"price": "1"}, {"hello": "x"})]

    def fail(reason: str) -> AppendResult:
        raise JournalError(reason, "broken")

    for reason in ("full", "slow"):
        monkeypatch.setattr(services(app).publisher, "accept", lambda *_, reason=reason, **__: fail(reason))
        pages.append(post_form(client)[1])
    alerts = [re.findall(r'role="alert">(.*?)</div>', page, re.DOTALL)[0] for page in pages]
    texts = [text for alert in alerts for text in re.findall("<p>(.*?)</p>", alert)]
    assert len(set(texts)) >= len(pages) - 1
    assert [text for text in texts if not 2 <= len(text.split()) <= 12] == []

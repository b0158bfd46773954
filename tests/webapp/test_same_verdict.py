"""The same values as JSON, as a batch, by the form and in a CSV: the same verdict, and the same trade."""

import csv
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import click
import msgspec
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from common.csv_cells import mark
from common.event import TRADE_FIELDS
from common.quotes import CURRENCIES
from tests.webapp.conftest import GOOD, read_csv, read_token
from webapp.input.pasted import read_pasted

ODD = st.text(max_size=70) | st.text(st.characters(categories=["Cs", "Cf", "Cc", "Zs", "Mn", "Ll", "Lu"]), max_size=6)
DIGITS = st.from_regex(r"[0-9]{1,22}(\.[0-9]{0,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
NUMBERS = DIGITS | st.sampled_from(
    ["NaN", "Infinity", "-1", "+1", "0", "0.00", ".5", "1_0", "0x1", "\uff11", "1e-7", "1e400", "1e-40"]
)
NAMES = st.sampled_from(
    ["btcusdt", "kPEPE", "BRK B", "USD₮", "=1+1", "'a'", "@107", '"x",y', "é", "e\u0301", "\u202eX", "\ud800"]
)
FIELDS = {
    "symbol": NAMES | ODD,
    "side": st.sampled_from(["BUY", "sell", "Sell", "HOLD", "\u017fell"]) | ODD,
    "price": NUMBERS | ODD,
    "qty": NUMBERS,
    "source": st.sampled_from(["", "grid-1", "other", "a b"]),
    "ref": st.just("") | NAMES | ODD,
    "fee": st.just("") | NUMBERS,
}
VALID = {"symbol": "A", "side": "BUY", "price": "1", "qty": "1", "source": "", "ref": "", "fee": ""}

Verdict = list[Any] | None


@st.composite
def make_trades(draw: st.DrawFn) -> dict[str, str]:
    """Return a trade that is valid but for one or two fields, which may be anything."""
    names = draw(st.lists(st.sampled_from(list(FIELDS)), min_size=1, max_size=2, unique=True))
    return VALID | {name: draw(FIELDS[name]) for name in names}


def judge(answer: TestResponse) -> Verdict:
    assert answer.status_code in {201, 400, 422}, answer.text
    if answer.status_code != 201:
        return None
    event = answer.json or {}
    return [(event["trades"][0] if "trades" in event else event)[name] for name in TRADE_FIELDS]


def send_json(client: FlaskClient, trade: Mapping[str, str]) -> Verdict:
    return judge(client.post("/trade", data=json.dumps(trade), content_type="application/json"))


def send_numbers(client: FlaskClient, trade: Mapping[str, str]) -> Verdict:
    body = json.dumps(trade)
    for name in ("price", "qty", "fee"):
        if re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?|NaN|Infinity", trade.get(name, "")):
            body = body.replace(f'"{name}": "{trade[name]}"', f'"{name}": {trade[name]}')
    return judge(client.post("/trade", data=body, content_type="application/json"))


def send_batch(client: FlaskClient, trade: Mapping[str, str]) -> Verdict:
    body = json.dumps([trade], ensure_ascii=False).encode(errors="surrogatepass")
    headers = {"Prefer": "return=representation"}
    return judge(client.post("/trades", data=body, content_type="application/json", headers=headers))


def send_form(client: FlaskClient, trade: Mapping[str, str]) -> Verdict:
    # A price far from the last one is asked about once more.
    confirmed = f"{trade['symbol']} {trade['price']}"
    fields = {**trade, "confirmed": confirmed, "csrf_token": read_token(client.get("/").text)}
    body = "&".join(f"{name}={quote_plus(text.encode(errors='surrogatepass'))}" for name, text in fields.items())
    answer = client.post("/trade", data=body, content_type="application/x-www-form-urlencoded")
    assert answer.status_code in {303, 400, 422}, answer.text
    if answer.status_code != 303:
        return None
    (event,) = (client.get("/trades?limit=1").json or {})["trades"]
    return [event[name] for name in TRADE_FIELDS]


def send_csv(client: FlaskClient, trade: Mapping[str, str], path: Path) -> Verdict:
    text = io.StringIO()
    csv.writer(text).writerows([trade, map(mark, trade.values())])
    path.write_bytes(text.getvalue().encode(errors="surrogatepass"))
    try:
        rows, _ = read_csv(path)
    except click.ClickException:
        return None
    return send_json(client, msgspec.json.decode(msgspec.json.encode(rows[0].trade))) if rows else None


@hypothesis_settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(make_trades())
@example(VALID | {"symbol": "\ud800"})
@example(VALID | {"symbol": "A\nB", "ref": "a\rb"})
@example(VALID | {"symbol": "'=1", "ref": "'", "price": "1e-7", "fee": "0e5"})
@example(VALID | {"symbol": "%41+é&x=1;", "ref": "%ff"})
def test_the_same_values_get_the_same_verdict_on_every_way_in(
    client: FlaskClient, tmp_path: Path, values: dict[str, str]
) -> None:
    # The form trims, and a form and a CSV leave out what is empty and may be left out: neither is sent here.
    trimmed = {name: text.strip() for name, text in values.items()}
    trade = {name: text for name, text in trimmed.items() if text or name in GOOD} | {"ts": GOOD["ts"]}
    verdict = send_json(client, trade)
    assert send_numbers(client, trade) == verdict
    assert send_batch(client, trade) == verdict
    # The form also reads what is pasted, if it has one meaning.
    clear, unclear = read_pasted(trade, CURRENCIES) if trade["symbol"].isprintable() else (trade, {})
    assert send_form(client, trade) == (verdict or (None if unclear else send_json(client, clear)))
    assert send_csv(client, trade, tmp_path / "trades.csv") == verdict

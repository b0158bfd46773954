import pytest
from marshmallow import ValidationError

from common.quotes import CURRENCIES
from tests.webapp.conftest import GOOD
from webapp.input.form import read_form_trade
from webapp.input.schemas import read_messages, read_trade

COMMA = "Is it {} or {}? Write it without a comma."

READ = [
    *(("price", "27123.45", text) for text in ("27,123.45", "27 123.45", "27\u00a0123.45", "27\u202f123,45")),
    *(("price", "27123.45", text) for text in ("27.123,45", "27'123.45", "27\u2019123,45", "$27123.45", "$ 27,123.45")),
    *(("price", "27123.45", text) for text in ("27123.45 USDT", "USDT 27123.45", "\ufeff27123.45\u200b", "27123.45\n")),
    *(("price", "1234567", text) for text in ("1,234,567", "1.234.567", "12,34,567", "1 234 567", "1,234,567.")),
    *(("price", text, text) for text in ("27.123", "0.250")),
    ("price", "0.5", ".5"),
    ("price", "5", "5."),
    ("price", "0.5", "0,5"),
    ("price", "0.0000001", "1e-7"),
    ("qty", "0.25", "0.25 BTC"),
    ("symbol", "BTCUSDT", "\u00a0btcusdt\u00a0\n"),
    *(("ts", "2026-01-31T09:30:00.000000Z", text) for text in ("2026-01-31 09:30Z", "2026-01-31 09:30:00 UTC")),
    *(("ts", "2026-01-31T09:30:00.000000Z", text) for text in ("1769851800", "Sat, 31 Jan 2026 09:30:00 GMT")),
    ("ts", "2026-01-31T09:30:00.500000Z", "1769851800500"),
    ("ts", "2026-01-31T07:30:00.500000Z", "2026/01/31 09:30:00,5 +02"),
]

ASKED = [
    ("price", "121,50", COMMA.format("121.50", "12150")),
    ("price", "27,123", COMMA.format("27.123", "27123")),
    ("price", ",5", COMMA.format("0.5", "5")),
    ("price", "€27123", "Expected an amount in USDT, not in €."),
    ("price", "27123 EUR", "Expected an amount in USDT, not in EUR."),
    ("qty", "100 USDT", "Expected a quantity of the symbol, not an amount in USDT."),
    ("ts", "2026-01-31 09:30", "Which time zone? Add Z for UTC, or an offset like +02:00."),
    ("ts", "31.01.2026 09:30", "Day or month first? Write it like 2026-01-31T09:30:00Z."),
    ("ts", "09:30", "Which day? Write it like 2026-01-31T09:30:00Z."),
    ("ts", "2026-01-31", "Which time? Write it like 2026-01-31T09:30:00Z."),
]

REJECTED = [
    ("price", "", "Missing; expected a decimal above 0"),
    ("price", "0", '"0" is not accepted; expected a decimal above 0'),
    ("price", "-5", '"-5" is not accepted; expected a decimal above 0'),
    ("price", "1,2.5", '"1,2.5" is not accepted; expected a decimal above 0'),
    ("price", "five dollars", '"five…" is not accepted; expected a decimal above 0'),
    ("price", "1e400", '"1e400" is not accepted; expected 20 digits, 18 decimals at most'),
    ("qty", "1" * 21, f'"{"1" * 21}" is not accepted; expected 20 digits, 18 decimals at most'),
    ("symbol", "BTC\u200bUSDT", '"BTC\\u200bUSDT" is not accepted; expected 1 to 64 printable characters'),
    ("side", "HOLD", '"HOLD" is not accepted; expected BUY or SELL'),
    ("source", "other", '"other" is not accepted; expected another name'),
    ("source", "my bot", '"my…" is not accepted; expected A-Z a-z 0-9 . _ -'),
    ("fee", "-1", '"-1" is not accepted; expected 0 or more'),
    ("ts", "yesterday", '"yesterday" is not accepted; expected a time like 2026-01-31T09:30:00Z'),
    ("ts", "20260131", '"20260131" is not accepted; expected a time like 2026-01-31T09:30:00Z'),
]


@pytest.mark.parametrize(("name", "expected", "text"), READ)
def test_a_pasted_text_with_one_meaning_is_read(name: str, expected: str, text: str) -> None:
    assert getattr(read_form_trade(GOOD | {name: text}, CURRENCIES), name) == expected


def test_now_is_the_time_of_acceptance() -> None:
    assert read_form_trade(GOOD | {"ts": "Now "}, CURRENCIES).ts == ""


@pytest.mark.parametrize(("name", "text", "message"), ASKED + REJECTED)
def test_what_is_asked_or_rejected_takes_twelve_words(name: str, text: str, message: str) -> None:
    with pytest.raises(ValidationError) as raised:
        read_form_trade(GOOD | {name: text}, CURRENCIES)
    assert read_messages(raised.value) == {name: [message]}
    assert len(message.split()) <= 12


def test_a_time_ahead_is_rejected_in_twelve_words() -> None:
    with pytest.raises(ValidationError) as raised:
        read_form_trade(GOOD | {"ts": "2999-01-31 09:30Z"}, CURRENCIES)
    (message,) = read_messages(raised.value)["ts"]
    assert len(message.split()) <= 12
    assert message.endswith("Z + 60 s")


@pytest.mark.parametrize("text", ["27,123.45", "27 123.45", "$27123.45", ".5", "5.", "27123.45\n"])
def test_the_api_stays_strict(text: str) -> None:
    with pytest.raises(ValidationError):
        read_trade(GOOD | {"price": text})


def test_each_unclear_and_each_bad_field_is_named_at_once() -> None:
    with pytest.raises(ValidationError) as raised:
        read_form_trade(GOOD | {"price": "121,50", "qty": "x"}, CURRENCIES)
    assert set(read_messages(raised.value)) == {"price", "qty"}

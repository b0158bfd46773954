import json
import random
from typing import cast

import pytest

from tape import wire
from tape.errors import BadMessageError
from tape.facts import Facts
from tests.conftest import ORIGIN, make_event

EVENTS = [make_event(7, price="1.10", qty="0.000000000001"), make_event(8, side="SELL")]
FRAMES = wire.encode_message(EVENTS)
FACTS = Facts("w1", 3, requests={"POST /trade 201": 2})


def refusal(frames: list[bytes]) -> str:
    with pytest.raises(BadMessageError) as caught:
        wire.decode_message(frames, ORIGIN)
    assert caught.value.reason in wire.BAD_MESSAGE_REASONS
    return caught.value.reason


def test_events_come_back_with_every_digit() -> None:
    hints = [wire.hint(event, "") for event in EVENTS]
    assert wire.decode_message(FRAMES, ORIGIN) == hints
    assert [hint.price for hint in hints] == ["1.10", "100.50"]


def test_a_hint_carries_the_id_of_its_request() -> None:
    (hint,) = cast("list[wire.Hint]", wire.decode_message(wire.encode_message([wire.hint(EVENTS[0], "r-1")]), ORIGIN))
    assert (hint.seq, hint.request_id) == (7, "r-1")
    assert b"request_id" not in wire.encode(EVENTS[0])


def test_facts_come_back_as_they_were() -> None:
    FACTS.commits.observe(0.02, "r-1", 5.0)
    assert wire.decode_message([wire.FACTS, wire.encode_facts(FACTS)], ORIGIN) == FACTS


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([], "frames"),
        ([wire.TRADES], "frames"),
        ([*FRAMES, b""], "frames"),
        ([b"quotes/1", FRAMES[1]], "kind"),
        ([b"trades/2", FRAMES[1]], "version"),
        ([wire.TRADES, b"{"], "body"),
        ([wire.TRADES, b"[{}]"], "body"),
        ([wire.TRADES, b"\xff"], "body"),
        ([wire.TRADES, b'[{"x":' + b"[" * 100_000], "body"),
        ([wire.TRADES, FRAMES[1].replace(b"2026-01-31", b"2026-13-31")], "body"),
        ([wire.TRADES, FRAMES[1].replace(b'"price":"1.10"', b'"price":"NaN"')], "body"),
        ([wire.TRADES, FRAMES[1].replace(b'"side":"SELL"', b'"side":"HOLD"')], "body"),
        ([wire.TRADES, FRAMES[1].replace(b'"seq":8', b'"seq":"8"')], "body"),
        ([wire.TRADES, FRAMES[1].replace(ORIGIN.encode(), b"b" * 32)], "origin"),
        ([b"facts/2", b"{}"], "version"),
        ([wire.FACTS, b"[]"], "body"),
        ([wire.FACTS, b'{"requests":{"GET / 200":-1}}'], "body"),
        ([wire.FACTS, b'{"commits":{"counts":[1,2]}}'], "body"),
        ([wire.FACTS, b'{"cpu_micros":"NaN"}'], "body"),
        ([wire.FACTS, b'{"cpu_micros":1.7e308}'], "body"),
        ([wire.FACTS, b'{"requests":{"GET / 200":18446744073709551615}}'], "body"),
        ([wire.FACTS, b'{"requests":{"GET":1}}'], "body"),
        ([wire.FACTS, b'{"requests":{"GET / 200 x":1}}'], "body"),
        ([wire.FACTS, b'{"durations":{"GET":{"counts":[0,0,0,0,0,0,0,0,0,0,0,0,0,0]}}}'], "body"),
        ([wire.FACTS, wire.encode_facts(Facts("w", requests={f"GET /{n} 200": 1 for n in range(1001)}))], "body"),
    ],
)
def test_an_unusable_message_is_refused_with_its_reason(frames: list[bytes], reason: str) -> None:
    assert refusal(frames) == reason


def test_random_bytes_are_never_taken_for_trades() -> None:
    chance = random.Random(1)
    for _ in range(2000):
        body = chance.randbytes(chance.randrange(200))
        refusal([wire.TRADES, body])
        refusal([body])


def test_a_message_cut_anywhere_is_refused() -> None:
    for cut in range(len(FRAMES[1])):
        assert refusal([wire.TRADES, FRAMES[1][:cut]]) == "body"


def test_a_page_is_the_trades_and_the_cursor_of_the_next_page() -> None:
    page = json.loads(wire.encode_page(EVENTS, 8))
    assert [trade["seq"] for trade in page["trades"]] == [7, 8]
    assert page["next"] == 8

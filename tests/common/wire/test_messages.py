from typing import cast

import pytest

from common.errors import BadMessageError
from common.wire import messages
from common.wire.hints import Hint
from common.wire.transport import MESSAGE_LIMIT
from tests.conftest import JOURNAL_ID, make_event, make_hint

EVENTS = [make_event(7, price="1.10", qty="0.000000000001"), make_event(8, side="SELL")]
(FRAME,) = messages.encode_message(EVENTS)
TRADES, TOTALS_KIND = b"trades/1\n", b"totals/1\n"
WRITTEN = messages.SeqRange(JOURNAL_ID, 7, 1006, "2026-01-31T09:30:00.000000Z", "r-1")
(RANGE_FRAME,) = messages.encode_range(WRITTEN)
AT = b"2026-01-31T09:30:00.000000Z"
BODY = FRAME.removeprefix(b"trades/1\n")


def reject(frames: list[bytes]) -> str:
    with pytest.raises(BadMessageError) as caught:
        messages.decode_message(frames, JOURNAL_ID)
    assert caught.value.reason in messages.BAD_MESSAGE_REASONS
    return caught.value.reason


def test_events_are_decoded_with_every_digit() -> None:
    hints = [make_hint(event, "") for event in EVENTS]
    assert messages.decode_message([FRAME], JOURNAL_ID) == hints
    assert [hint.price for hint in hints] == ["1.10", "100.50"]


def test_hints_of_an_earlier_program_have_no_source_ref_and_fee() -> None:
    assert BODY.count(b',"source":"","ref":null,"fee":null') == len(EVENTS)
    earlier = TRADES + BODY.replace(b',"source":"","ref":null,"fee":null', b"")
    assert messages.decode_message([earlier], JOURNAL_ID) == [make_hint(event, "") for event in EVENTS]


def test_a_hint_carries_the_id_of_its_request() -> None:
    (hint,) = cast(
        "list[Hint]",
        messages.decode_message(messages.encode_message([EVENTS[0]], ["r-1"]), JOURNAL_ID),
    )
    assert (hint.seq, hint.request_id) == (7, "r-1")
    assert b"request_id" not in messages.encode(EVENTS[0])


def test_a_range_carries_the_seqs_of_one_request() -> None:
    assert messages.decode_message([RANGE_FRAME], JOURNAL_ID) == WRITTEN


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([], "frames"),
        ([FRAME, b""], "frames"),
        ([b"trades/1", BODY], "frames"),
        ([b"quotes/1\n" + BODY], "kind"),
        ([b""], "kind"),
        ([b"trades/2\n" + BODY], "version"),
        ([b"trades/1"], "body"),
        ([TRADES + b"{"], "body"),
        ([TRADES + b"[{}]"], "body"),
        ([TRADES + b"\xff"], "body"),
        ([TRADES + b'[{"x":' + b"[" * 100_000], "body"),
        ([TRADES + BODY.replace(b"2026-01-31", b"2026-13-31")], "body"),
        ([TRADES + BODY.replace(b'"price":"1.10"', b'"price":"NaN"')], "body"),
        ([TRADES + BODY.replace(b'"side":"SELL"', b'"side":"HOLD"')], "body"),
        ([TRADES + BODY.replace(b'"seq":8', b'"seq":"8"')], "body"),
        ([TRADES + BODY.replace(JOURNAL_ID.encode(), b"b" * 32)], "journal_id"),
        ([TRADES + BODY.replace(b'"seq":8', b'"seq":0')], "body"),
        ([TRADES + BODY.replace(b'"seq":8', b'"seq":9223372036854775808')], "body"),
        ([TRADES + BODY.replace(b'"request_id":""', b'"request_id":"a b"')], "body"),
        ([TRADES + BODY.replace(b'"request_id":""', b'"request_id":"' + b"r" * 65 + b'"')], "body"),
        *(
            ([TRADES + BODY.replace(b'"BTCUSDT"', f'"{symbol}"'.encode())], "body")
            for symbol in ("", " A", "btc", "other", "A\u202e", "E\u0301", "A" * 65)
        ),
        ([TRADES + BODY.replace(b'"source":""', b'"source":"a b"')], "body"),
        ([TRADES + BODY.replace(b'"ref":null', b'"ref":""')], "body"),
        ([TRADES + BODY.replace(b'"fee":null', b'"fee":"-1"')], "body"),
        ([TRADES + BODY.replace(b'"fee":null', b'"fee":"None"')], "body"),
        ([TRADES + BODY.replace(b'"fee":null', b'"fee":""')], "body"),
        # A field that holds whole lines of the check.
        ([TRADES + BODY.replace(b'"request_id":""', rb'"request_id":"a\n%b %b 1 1 0  b"' % (AT, AT), 1)], "body"),
        ([TRADES + BODY.replace(b'"price":"1.10"', b'"price":"1 1"')], "body"),
        ([TRADES + BODY.replace(b'"source":""', b'"source":"other"')], "body"),
        ([TRADES + BODY.replace(b"T09:30:00.0", b"T25:30:00.0")], "body"),
        ([b"totals/2\n{}"], "version"),
        ([RANGE_FRAME.replace(b"range/1", b"range/2")], "version"),
        ([RANGE_FRAME.replace(JOURNAL_ID.encode(), b"b" * 32)], "journal_id"),
        ([RANGE_FRAME.replace(b":7,", b":0,")], "body"),
        ([RANGE_FRAME.replace(b"2026-01-31", b"2026-13-31")], "body"),
        ([b"range/1\n[]"], "body"),
        ([TOTALS_KIND + b"[]"], "body"),
        ([TOTALS_KIND + b"{}"], "body"),
    ],
)
def test_an_unusable_message_is_rejected_with_its_reason(frames: list[bytes], reason: str) -> None:
    assert reject(frames) == reason


def test_the_longest_events_of_one_message_are_below_the_receivers_limit() -> None:
    decimal = "9" * 20 + "." + "9" * 18
    texts = {"symbol": "😀" * 64, "source": "s" * 64, "ref": "😀" * 64, "id": "f" * 36}
    longest = make_event(2**63 - 1, price=decimal, qty=decimal, fee=decimal, **texts)
    message = messages.encode_message([longest] * messages.EVENTS_MAX, ["r" * 64] * messages.EVENTS_MAX)
    assert len(cast("list[Hint]", messages.decode_message(message, JOURNAL_ID))) == messages.EVENTS_MAX
    assert len(message[0]) < MESSAGE_LIMIT

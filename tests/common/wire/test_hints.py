"""Messages that are read together: what each would be alone, or nothing."""

import pytest

from common.wire import messages
from common.wire.hints import Hint
from tests.conftest import JOURNAL_ID, make_event

ONE = messages.encode_message([make_event(1, fee="0.1")], ["r-1"])
TWO = messages.encode_message([make_event(seq, source="bot-1") for seq in (2, 3)], ["r-1", "r-1"])
THREE = messages.encode_message([make_event(4, ts="2026-02-28T23:59:59.999999Z")], ["r-2"])


def decode(*frames: list[bytes]) -> list[list[Hint]] | None:
    return messages.decode_together(frames, JOURNAL_ID)


def test_messages_read_together_are_what_each_is_alone() -> None:
    empty = [b"trades/1\n[]"]
    alone = [messages.decode_message(frames, JOURNAL_ID) for frames in (ONE, empty, TWO, THREE)]
    assert decode(ONE, empty, TWO, THREE) == alone
    assert decode(empty, empty) == [[], []]


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"[]\n",
        b"[\n]",
        b"[]\n[]",
        b"{}",
        b"[{}]",
        b"\xff",
        b"[" * 100_000,
        TWO[0][9:].replace(JOURNAL_ID.encode(), b"b" * 32),
        TWO[0][9:].replace(b'"seq":3', b'"seq":0'),
        TWO[0][9:].replace(b"2026-01-31", b"2026-02-31"),
        TWO[0][9:].replace(b'"price":"100.50"', b'"price":"1e5"', 1),
        TWO[0][9:].replace(b'"bot-1"', b'"other"', 1),
        TWO[0][9:].replace(b'"r-1"', b'"r 1"', 1),
        TWO[0][9:].replace(b'"BTCUSDT"', b'"btc"', 1),
    ],
)
def test_one_message_that_would_be_rejected_spoils_all_of_them(bad: bytes) -> None:
    assert decode(ONE, [b"trades/1\n" + bad], THREE) is None
    assert decode(ONE, THREE) is not None


def test_two_halves_of_an_event_make_none() -> None:
    body = ONE[0][9:]
    for middle in range(1, len(body)):
        assert decode([b"trades/1\n" + body[:middle]], [b"trades/1\n" + body[middle:]]) is None
    assert decode([b"trades/1\n" + TWO[0][9:-1] + b","], [b"trades/1\n" + body[1:] + body]) is None
    assert decode([b"trades/1\n" + body + body], [b"trades/1\n"]) is None
    # A line break would part two events, were it taken for one between messages.
    assert decode([b"trades/1\n" + body + b"\n" + body[:-1] + b","], [b"trades/1\n" + body[1:]]) is None

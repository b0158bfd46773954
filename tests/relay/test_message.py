"""A message: what it has, how large it may be, and what is none."""

import json

import pytest

from common.errors import RelayError
from common.journal.hub import Batch, Mark
from relay.message import BYTES_MAX, decode, decode_seq, encode, encode_seq, find_end
from tests.conftest import JOURNAL_ID, make_event

SUBJECT = f"trades.{JOURNAL_ID}"
BATCH = Batch(JOURNAL_ID, 4, [make_event(5), make_event(7, ref="x", fee="0.1")], "id-4")


def test_a_batch_comes_out_as_it_went_in() -> None:
    body, count = encode(BATCH)
    assert (decode(SUBJECT, body), count) == (BATCH, 2)
    assert set(json.loads(body)) == {"after", "after_id", "events"}
    # What later versions may add is ignored, and what earlier ones did not have may be missing.
    shorter = json.loads(body) | {"new": 1}
    del shorter["after_id"]
    assert decode(SUBJECT, json.dumps(shorter).encode()) == BATCH._replace(after_id="")


def test_the_end_of_a_batch_is_its_last_trade_or_the_one_that_it_follows() -> None:
    assert find_end(BATCH) == Mark(7, "id-7")
    assert find_end(BATCH._replace(events=[])) == Mark(4, "id-4")


def test_a_batch_that_is_too_large_is_cut() -> None:
    events = [make_event(seq, symbol="₮" * 64) for seq in range(1, 3001)]
    body, count = encode(Batch(JOURNAL_ID, 0, events))
    assert BYTES_MAX / 2 < len(body) <= BYTES_MAX
    assert decode(SUBJECT, body).events == events[:count]


@pytest.mark.parametrize(
    ("subject", "body"),
    [
        (SUBJECT, b""),
        (SUBJECT, b'{"after": 0}'),
        (SUBJECT, b'{"after": -1, "events": []}'),
        (SUBJECT, b'{"after": "0", "events": []}'),
        (SUBJECT, b'{"after": 0, "events": [{}]}'),
        (SUBJECT, b"\xff"),
        (SUBJECT, b"[" * 100_000),
        ("trades.berlin", b'{"after": 0, "events": []}'),
    ],
)
def test_what_is_no_batch_has_a_reason(subject: str, body: bytes) -> None:
    with pytest.raises(RelayError) as caught:
        decode(subject, body)
    assert caught.value.reason == "body"
    assert len(caught.value.detail) < 400


@pytest.mark.parametrize(
    "field",
    [
        {"ts": "2026-13-01T00:00:00.000000Z"},
        {"accepted_at": "2026-02-30T00:00:00.000000Z"},
        {"id": ""},
        {"id": "x" * 65},
    ],
)
def test_a_trade_that_no_host_accepts_has_a_reason(field: dict[str, str]) -> None:
    message = json.loads(encode(BATCH)[0])
    message["events"][1] |= field
    with pytest.raises(RelayError, match="seq 7 has the") as caught:
        decode(SUBJECT, json.dumps(message).encode())
    assert caught.value.reason == "body"


def test_a_hub_sends_no_batches() -> None:
    event = json.loads(encode(BATCH)[0])["events"][0] | {"host_seq": 1, "host_journal_id": "b" * 32}
    with pytest.raises(RelayError, match="that of a hub"):
        decode(SUBJECT, json.dumps({"after": 4, "events": [event]}).encode())


def test_a_rewind_has_a_seq() -> None:
    assert decode_seq(encode_seq(7)) == 7
    for body in (b"", b"-1", b"x", b"1.5", b"\xff", b"99999999999999999999"):
        assert decode_seq(body) is None

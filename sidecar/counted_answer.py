"""The answer of ``/counted``: whether a trade is counted, when that was, and which request brought it."""

from datetime import UTC, datetime

import msgspec

from common.counting import CountedAnswer
from common.timestamps import format_timestamp
from sidecar.counters import Counters


def encode_counted(counters: Counters, seq: int) -> bytes:
    """Return what is known of the trade of this seq, as JSON."""
    with counters.lock:
        state, newest = counters.state, counters.newest
        answer = CountedAnswer(state.journal_id, state.last_seq, None, newest.find_request(seq))
        at = newest.find_time(seq)
    if at is not None:
        answer.counted_at = format_timestamp(datetime.fromtimestamp(at, UTC))
    return msgspec.json.encode(answer) + b"\n"

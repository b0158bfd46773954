"""The answer of ``/counted``: what the sidecar knows of one trade; the sidecar writes it, the web process reads it."""

from msgspec import Struct

from common.timestamps import Timestamp


class CountedAnswer(Struct):
    """Every trade up to ``last_seq`` of the journal is counted.

    ``counted_at`` is when the one that was asked for was, and ``request_id`` names the request that brought it; None
    when that is not kept.
    """

    journal_id: str
    last_seq: int
    counted_at: Timestamp | None
    request_id: str | None

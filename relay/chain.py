"""The chain: how a page of a host's trades continues what the hub has of it. No clock, socket or file."""

from collections.abc import Sequence
from typing import Final

from msgspec import UNSET, Struct

from common.errors import RelayError
from common.event import Event
from common.journal.hub import Batch, Mark
from common.timestamps import is_in_calendar

ID_LENGTH_MAX: Final = 64


class Page(Struct):
    """The first trades of a host's journal after the seq that was asked for; ``next`` is None at the journal's end.

    ``pruned_seq``, up to which the host has deleted its trades, was read after them.
    """

    trades: list[Event]
    next: int | None
    journal_id: str
    pruned_seq: int


def check_trades(trades: Sequence[Event]) -> None:
    """Raise RelayError, ``body``, when a trade has a time that does not exist, no id, or one that is too long."""
    for trade in trades:
        for name, time in (("ts", trade.ts), ("accepted_at", trade.accepted_at)):
            if not is_in_calendar(time):
                raise RelayError("body", f"seq {trade.seq} has the {name} {time}; expected a time that exists")
        if not 1 <= len(trade.id) <= ID_LENGTH_MAX:
            detail = (
                f"seq {trade.seq} has the id {trade.id[:ID_LENGTH_MAX]!r}; expected 1 to {ID_LENGTH_MAX} characters"
            )
            raise RelayError("body", detail)


def find_start(mark: Mark) -> int:
    """Return the seq after which to ask: the trade at the mark comes again, and shows that the history is the same."""
    return max(0, mark.last_seq - 1)


def follow(mark: Mark, page: Page) -> Batch:
    """Return the batch of a page that was asked for after ``find_start(mark)``.

    Raises RelayError: ``pruned`` when the host has deleted trades that were not read, ``conflict`` when its journal
    does not have the trade at the mark, and ``hub`` when it is a hub.
    """
    first = page.trades[0] if page.trades else None
    if first is not None and first.host_seq is not UNSET:
        raise RelayError("hub", f"journal {page.journal_id} is that of a hub; expected that of a host")
    if first is not None and first.seq == mark.last_seq:
        if mark.last_id not in {"", first.id}:
            raise RelayError(
                "conflict", f"seq {first.seq} is the trade {first.id}; it was {mark.last_id} when it was read"
            )
        return Batch(page.journal_id, mark.last_seq - 1, page.trades)
    if page.pruned_seq > mark.last_seq:
        detail = f"the trades up to seq {page.pruned_seq} are deleted, only those up to {mark.last_seq} were read"
        raise RelayError("pruned", detail)
    if page.pruned_seq < mark.last_seq:
        detail = f"there is no trade with seq {mark.last_seq}, which was read: {mark.last_id}"
        raise RelayError("conflict", detail)
    return Batch(page.journal_id, mark.last_seq, page.trades)


def follow_without(mark: Mark, page: Page) -> Batch:
    """Return the same batch without the trade at the mark, whose id it has instead. Raises the same."""
    batch = follow(mark, page)
    if batch.after == mark.last_seq:
        return batch._replace(after_id=mark.last_id)
    return Batch(page.journal_id, mark.last_seq, batch.events[1:], batch.events[0].id)

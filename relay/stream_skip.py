"""Skipping over a stream: going on after trades that are deleted, by the word of an operator."""

import asyncio

from common.errors import RelayError
from common.event import SEQ_MAX
from common.journal.hub import Batch
from common.journal.store import Journal
from common.settings import Settings
from relay.access import read_access
from relay.broker import connect
from relay.message import TRADES, encode


def skip_on_hub(settings: Settings, journal_id: str, after: int | None, to: int | None) -> str:
    """Move a host's mark in the hub from ``after`` to ``to``, and say in a sentence what was done.

    Raises RelayError when the hub does not have this host at this mark, and JournalError.
    """
    with Journal(settings.journal_path, settings.journal_sync) as journal:
        marks = {host.journal_id: host.last_seq for host in journal.list_hosts() or []}
        if journal_id not in marks:
            detail = f"{journal_id!r} is no host of this hub; expected one of {', '.join(marks) or 'none'}"
            raise RelayError("host", detail)
        mark = marks[journal_id]
        if after != mark:
            # A wrong seq would lose trades without a word: whoever skips shows that he has seen where the hub is.
            raise RelayError("seq", f"FROM is {after}; expected {mark}, up to which the hub has read {journal_id}")
        if to is None or not mark < to <= SEQ_MAX:
            raise RelayError("seq", f"TO is {to}; expected a seq from {mark + 1} to {SEQ_MAX}")
        journal.skip_host(journal_id, to)
    return f"Skipped seq {mark + 1} to {to} of {journal_id}: the hub will never have those trades."


def skip_on_host(settings: Settings, journal: Journal) -> str:
    """Let the stream say that this host goes on after what it has deleted. Raises RelayError and JournalError."""
    read_access(settings)
    journal_id, pruned_seq = journal.journal_id, journal.pruned_seq()
    subject = f"{TRADES}{journal_id}"

    async def send() -> None:
        async with connect(settings, "relay skip") as broker:
            last = await broker.find_last(subject)
            body, _ = encode(Batch(journal_id, pruned_seq, ()))
            await broker.publish(subject, body, last.seq if last else 0)

    asyncio.run(send())
    return f"The stream goes on after seq {pruned_seq} of {journal_id}; hubs that lack some must skip them, too."


def skip_over_stream(settings: Settings, journal_id: str, after: int | None = None, to: int | None = None) -> str:
    """Skip on a hub, or on the host whose journal has this id, and say in a sentence what was done.

    Raises BadSettingError, RelayError and JournalError.
    """
    with Journal(settings.journal_path) as journal:
        if journal.list_hosts() is None and journal.last_seq():
            if journal_id != journal.journal_id:
                detail = f"{journal_id} is not this host's journal_id; expected {journal.journal_id}"
                raise RelayError("host", detail)
            return skip_on_host(settings, journal)
    return skip_on_hub(settings, journal_id, after, to)

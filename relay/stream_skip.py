"""Skipping over a stream: going on after trades that are deleted, by the word of an operator."""

import asyncio
import re

from common.errors import RelayError
from common.journal.hub import Batch
from common.journal.store import Journal
from common.settings import Settings
from relay.access import read_access
from relay.broker import connect
from relay.hub import Hub
from relay.message import TRADES, encode


def skip_on_hub(settings: Settings, journal_id: str, seq: int | None) -> str:
    """Move a host's mark in the hub to ``seq``, and say in a sentence what was done. Raises as ``skip`` does."""
    if not re.fullmatch("[0-9a-f]{32}", journal_id):
        raise RelayError("host", f"{journal_id!r} is no journal_id; expected 32 hex digits")
    if seq is None:
        raise RelayError("seq", "on a hub, the seq after which to go on is needed; the relay's page and log name it")
    hub = Hub(Journal(settings.journal_path, settings.journal_sync)).adopt()
    try:
        mark = hub.read_mark(journal_id)
        if seq <= mark.last_seq:
            return f"Nothing is skipped: the hub has read {journal_id} up to seq {mark.last_seq}."
        hub.skip(journal_id, seq)
        return f"Skipped seq {mark.last_seq + 1} to {seq} of {journal_id}: the hub will never have those trades."
    finally:
        hub.close()


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


def skip_over_stream(settings: Settings, journal_id: str, seq: int | None) -> str:
    """Skip on a hub, or on the host whose journal has this id, and say in a sentence what was done.

    Raises BadSettingError, HubError, RelayError and JournalError.
    """
    with Journal(settings.journal_path) as journal:
        if journal.list_hosts() is None and journal.last_seq():
            if journal_id != journal.journal_id:
                detail = f"{journal_id} is not this host's journal_id; expected {journal.journal_id}"
                raise RelayError("host", detail)
            return skip_on_host(settings, journal)
    return skip_on_hub(settings, journal_id, seq)

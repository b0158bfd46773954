"""The pusher: sends the trades of its journal to the stream, one message after the other, in the order of the chain.

The last message of its subject says where to go on, at the start and after every answer that is not an
acknowledgement. Each message is stored only if that one is still the last: so two pushers, or one whose message was
stored without an answer, cannot put a hole or another order into the chain (docs/decisions/0084).
"""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from common.errors import HubError, JournalError, RelayError
from common.event import Event
from common.journal.hub import Batch, Mark
from common.journal.store import Journal
from common.settings import Settings
from relay.broker import Broker
from relay.chain import Page, find_start, follow_without
from relay.journal_executor import JournalExecutor
from relay.message import REWIND, TRADES, decode, decode_seq, encode, find_end
from relay.stream_status import StreamStatus

POLL_MS: Final = 20
"""How often the journal is read at its end, unless RELAY_POLL says so: a SELECT, which costs no other process."""

FLOOR_SECONDS: Final = 1.0
"""How often the acknowledged mark is written to the journal, for retention."""


class Pusher:
    """Sends the trades of one journal."""

    def __init__(
        self,
        journal: Journal,
        executor: JournalExecutor,
        status: StreamStatus,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep the journal of a host, and its executor. Raises HubError for that of a hub, and JournalError."""
        if journal.list_hosts() is not None:
            raise HubError("hub", f"journal {journal.path} is that of a hub; expected that of a host")
        self._journal = journal
        self._executor = executor
        self._status = status
        self._batch = settings.relay_batch
        self._heartbeat = settings.relay_heartbeat
        self._poll = (settings.relay_poll or POLL_MS) / 1000
        self._clock = clock
        self._own = status.find(journal.journal_id)
        self._own.last_seq = journal.read_pushed()
        self._mark = Mark()
        self._stored = 0
        self._sent_at = 0.0
        self._rewind: int | None = None
        self._floor = -1
        self._floor_at = float("-inf")

    async def run(self, broker: Broker) -> None:
        """Send until an error. Raises RelayError and JournalError; ``pruned`` is for good."""
        await broker.listen(f"{REWIND}{self._own.journal_id}", self._take_rewind)
        await self._look(broker)
        while True:
            broker.check()
            if not await self.step(broker):
                await asyncio.sleep(self._poll)

    async def step(self, broker: Broker) -> bool:
        """Send one message, or none at the journal's end; return whether there is more. Raises as ``run`` does."""
        is_back = await self._go_back()
        try:
            batch = self._follow(await self._executor.run(self._read, self._mark))
        except RelayError as error:
            if not is_back:
                raise
            # What a hub asks for cannot be sent; that says nothing of the others.
            self._status.report(error)
            await self._look(broker)
            return True
        if batch.events:
            self._own.waiting_since = _read_time(batch.events[0])
        elif self._clock() - self._sent_at < self._heartbeat:
            self._own.waiting_since = 0.0
            return False
        try:
            await self._send(broker, batch)
        except RelayError as error:
            if error.reason != "fenced":
                raise
            self._own.fenced += 1
            await self._look(broker)
        return bool(batch.events)

    async def measure(self) -> None:
        """Measure what waits, while the stream cannot be used. Raises JournalError."""
        await self._executor.run(self._measure)

    def _measure(self) -> None:
        own = self._own
        own.journal_last_seq = self._journal.last_seq()
        waiting = self._journal.read_after(own.last_seq, 1)
        own.waiting_since = _read_time(waiting[0]) if waiting else 0.0

    async def _send(self, broker: Broker, batch: Batch) -> None:
        body, count = encode(batch)
        began = self._clock()
        self._stored = await broker.publish(f"{TRADES}{batch.journal_id}", body, self._stored)
        self._sent_at = self._clock()
        self._status.acks.observe(self._sent_at - began)
        self._mark = find_end(batch._replace(events=batch.events[:count]))
        self._own.events += count
        self._own.last_seq = self._mark.last_seq
        self._own.seen_at = time.time()
        self._own.wrong = ""
        # Only this shows that trades pass: a stream that is full can be read.
        self._status.succeed()
        if self._mark.last_seq != self._floor and self._clock() - self._floor_at >= FLOOR_SECONDS:
            await self._write_floor(self._mark.last_seq)

    async def _look(self, broker: Broker) -> None:
        """Go on where the last message of the subject ends; without one, at the beginning of the journal."""
        subject = f"{TRADES}{self._own.journal_id}"
        stored = await broker.find_last(subject)
        if stored is None:
            self._stored, self._mark = 0, await self._executor.run(self._read_beginning)
        else:
            self._stored = stored.seq
            try:
                self._mark = find_end(decode(subject, stored.body))
            except RelayError as error:
                # Hubs skip it, and drop what comes twice.
                self._status.report(error)
                self._mark = await self._executor.run(self._read_beginning)
        self._follow(await self._executor.run(self._read, self._mark))
        self._own.last_seq = self._mark.last_seq

    def _follow(self, page: Page) -> Batch:
        if page.journal_id != self._own.journal_id:
            detail = f"the journal is now {page.journal_id}; expected {self._own.journal_id}"
            raise RelayError("journal", detail)
        try:
            return follow_without(self._mark, page)
        except RelayError as error:
            self._own.wrong = error.detail
            self._own.conflicts += error.reason == "conflict"
            raise

    def _read(self, mark: Mark) -> Page:
        journal = self._journal
        self._own.journal_last_seq = journal.last_seq()
        # The trade at the mark is read again, and shows that the journal is the one that was sent.
        trades = journal.read_after(find_start(mark), self._batch + (mark.last_seq > 0))
        return Page(trades, None, journal.journal_id, journal.pruned_seq())

    def _read_beginning(self) -> Mark:
        return Mark(self._journal.pruned_seq())

    def _take_rewind(self, body: bytes) -> None:
        seq = decode_seq(body)
        if seq is None:
            self._status.count(RelayError("body", "a rewind without a seq"))
        elif self._rewind is None or seq < self._rewind:
            self._rewind = seq

    async def _go_back(self) -> bool:
        """Go back to where a hub is, when it asked and the journal still has what follows; return whether it did."""
        seq, self._rewind = self._rewind, None
        if seq is None or seq >= self._mark.last_seq:
            return False
        # Retention must not delete what is about to be sent again, so it is told before what it has deleted is read.
        await self._write_floor(seq)
        pruned_seq = await self._executor.run(self._journal.pruned_seq)
        if seq < pruned_seq:
            await self._write_floor(self._mark.last_seq)
            detail = f"a hub asks for the trades after seq {seq}; those up to {pruned_seq} are deleted"
            self._status.report(RelayError("pruned", detail))
            return False
        self._own.rewinds += 1
        self._mark = Mark(seq)
        return True

    async def _write_floor(self, seq: int) -> None:
        self._floor_at = self._clock()
        try:
            await self._executor.run(self._journal.note_pushed, seq)
        except JournalError as error:
            # A full disk keeps trades from being deleted, not from being sent.
            self._status.report(RelayError("journal", error.detail))
        else:
            self._floor = seq


def _read_time(event: Event) -> float:
    return datetime.fromisoformat(event.accepted_at).timestamp()

"""The puller: reads the stream and writes what it carries to the hub, with the place where it goes on.

The hub's transaction decides what each batch is. Whatever happens to the stream, its place may be wrong only so that
batches come again, which the marks drop, or not at all, which the next batch shows: then its host is asked to go back.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from common.errors import HubError, RelayError
from common.journal.hub import Batch, BatchResult, Place
from common.settings import Settings
from common.timestamps import now
from relay.broker import Broker
from relay.hub import Hub
from relay.journal_executor import JournalExecutor
from relay.message import REWIND, decode, encode_seq, find_end
from relay.rewinds import Rewinds
from relay.setup import list_differences, write_config
from relay.stream_reader import Stored
from relay.stream_status import JournalStatus, StreamStatus

_log = logging.getLogger(__name__)


class StreamPuller:
    """Reads one stream into one hub."""

    def __init__(
        self,
        hub: Hub,
        executor: JournalExecutor,
        status: StreamStatus,
        settings: Settings,
        *,
        wall_clock: Callable[[], datetime] = now,
    ) -> None:
        """Keep the hub's journal, which has been adopted, and its executor."""
        self._hub = hub
        self._executor = executor
        self._status = status
        self._stream = settings.relay_stream
        self._wanted = write_config(settings)
        self._wall_clock = wall_clock
        self._rewinds = Rewinds()
        for host in hub.list_hosts():
            status.find(host.journal_id).last_seq = host.last_seq

    async def run(self, broker: Broker) -> None:
        """Read until an error. Raises RelayError and JournalError."""
        place = await self._find_place(broker)
        reader = await broker.read_from(place.seq + 1)
        while True:
            found = await reader.receive()
            if found:
                place = place._replace(seq=found[-1].seq)
                await self._write(broker, found, place)
            self._status.succeed()

    async def _find_place(self, broker: Broker) -> Place:
        state = await broker.read_state()
        others = list_differences(state.config, self._wanted)
        self._status.differs = {name: name in others for name in self._wanted}
        place = await self._executor.run(self._hub.read_place, self._stream)
        if place.created == state.created and place.seq <= state.last_seq:
            return place
        if place.seq:
            extra = {"stream_created": state.created, "last_seq": state.last_seq, "place": place.seq}
            _log.warning("stream is another one, or lost its end; it is read from its beginning", extra=extra)
        # What was asked is remembered by seqs of the old stream.
        self._rewinds = Rewinds()
        return Place(self._stream, state.created)

    async def _write(self, broker: Broker, found: Sequence[Stored], place: Place) -> None:
        carried = [(stored, batch) for stored in found if (batch := self._decode(stored)) is not None]
        results = await self._executor.run(self._hub.append_all, [batch for _, batch in carried], place)
        for (stored, batch), result in zip(carried, results, strict=True):
            own = self._status.find(batch.journal_id)
            own.seen_at = self._wall_clock().timestamp()
            if isinstance(result, HubError):
                self._status.report(RelayError(result.reason, result.detail))
                own.wrong = result.detail
                continue
            self._note(own, batch, result, stored.pending)
            if result.gap and self._rewinds.is_due(
                batch.journal_id, result.last_seq, stored.seq, stored.pending, time.monotonic()
            ):
                own.rewinds += 1
                await broker.publish_unstored(f"{REWIND}{batch.journal_id}", encode_seq(result.last_seq))

    def _decode(self, stored: Stored) -> Batch | None:
        try:
            return decode(stored.subject, stored.body)
        except RelayError as error:
            # Its host's next batch has a gap, and it is asked for these trades again.
            self._status.report(error)
            return None

    def _note(self, own: JournalStatus, batch: Batch, result: BatchResult, pending: int) -> None:
        end = find_end(batch).last_seq
        own.last_seq = result.last_seq
        own.journal_last_seq = max(end, result.last_seq)
        own.events += result.written
        own.duplicates += result.duplicates
        own.waiting_since = 0.0
        if pending and batch.events:
            own.waiting_since = datetime.fromisoformat(batch.events[-1].accepted_at).timestamp()
        if result.conflict is not None:
            own.conflicts += 1
            own.wrong = f"seq {result.conflict} is another trade than the hub has"
            self._status.report(RelayError("conflict", f"{own.journal_id}: {own.wrong}"))
        elif result.gap:
            own.wrong = f"a batch follows seq {batch.after}, the hub has those up to {result.last_seq}"
        else:
            own.wrong = ""

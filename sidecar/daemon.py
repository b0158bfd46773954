"""The daemon: set-up, a loop of small steps, shutdown."""

import logging
import threading
import time
from functools import partial
from typing import Final

from common.backups import read_newest
from common.errors import JournalError
from common.hosts import HostRule
from common.journal.disk import DiskUsage, measure_disk
from common.journal.hub import Host
from common.journal.store import Journal
from common.links import find_links
from common.replica import find_folder, read_times
from common.serving.lock import locked
from common.serving.process import Daemon
from common.serving.rejections import Rejections
from common.serving.server import Server
from common.settings import Settings
from common.wire.transport import KeyPair, Receiver
from sidecar.collector import Sight, make_registry
from sidecar.consumer import Consumer
from sidecar.counted_answer import encode_counted
from sidecar.counters import Counters
from sidecar.hosts import name_hosts
from sidecar.overflow import OverflowLog
from sidecar.position_answer import encode_positions
from sidecar.retention import Pruner, read_checkpoint
from sidecar.routes import Registries, Routes
from sidecar.series_start import SeriesStarts
from sidecar.snapshot import Snapshots
from sidecar.state import State

SNAPSHOT_SECONDS: Final = 0.5
PRUNE_SECONDS: Final = 0.1
WATCH_SECONDS: Final = 0.1

_log = logging.getLogger(__name__)


class SidecarDaemon(Daemon):
    """The sidecar process: a consumer thread, an HTTP thread, and the main thread, which watches them and saves."""

    def __init__(self, settings: Settings) -> None:
        """Keep the settings; nothing is opened yet."""
        super().__init__(settings)
        self._snapshots = Snapshots(settings.snapshot_path)

    def run(self) -> int:
        """Count until stopped, and return the exit code: 1 when a thread died.

        Raises JournalError, AddressError or LockError when it cannot start.
        """
        settings = self._settings
        token = settings.require_sidecar_token()
        # The locks come first: a second sidecar that binds an ipc:// address would replace the first one's socket file.
        with (
            locked(journal=settings.journal_path, snapshot=settings.snapshot_path),
            Receiver(settings.webapp_zmq_addr, self._read_keys()) as receiver,
        ):
            server = Server(settings.sidecar_http_host, settings.sidecar_http_port)
            try:
                counters = Counters(self._load(), settings)
                consumer = Consumer(counters, receiver, Journal(settings.journal_path), settings)
                consumer.catch_up(self.stopping)
                self._snapshots.save(counters)
                if self.stopping.is_set():
                    # Metrics of a partly read journal would look like a counter reset.
                    return 0
                server.open(self._make_routes(counters, consumer, server.rejections, token).answer)
                self._threads.start("consumer", partial(consumer.run, self.stopping))
                self._threads.start("http", partial(server.serve_forever, poll_interval=0.1))
                last_seq = counters.last_seq
                _log.info(
                    "sidecar is counting",
                    extra={"http": server.server_address, "zmq": settings.webapp_zmq_addr, "last_seq": last_seq},
                )
                code = self._watch(counters)
                server.shutdown()
                self._threads.join()
                self._snapshots.save(counters)
            finally:
                server.server_close()
        return code

    def _read_keys(self) -> KeyPair:
        with Journal(self._settings.journal_path) as journal:
            return journal.key_pair

    def _load(self) -> State:
        with Journal(self._settings.journal_path) as journal:
            state = self._snapshots.load(journal, read_checkpoint(journal, self._settings), self._settings)
        state.register(self._settings)
        return state

    def _make_routes(self, counters: Counters, consumer: Consumer, rejections: Rejections, token: str | None) -> Routes:
        journal, lock = Journal(self._settings.journal_path), threading.Lock()

        def read_journal() -> tuple[int, DiskUsage]:
            with lock:
                return journal.last_seq(), measure_disk(journal.path)

        def read_hosts() -> dict[str, Host]:
            with lock:
                return name_hosts(journal.list_hosts() or [], self._settings)

        def check_ready() -> str | None:
            error = consumer.journal_error
            return None if error is None else error.detail

        folder, replica = self._settings.backup_folder, find_folder(self._settings.replica_url)
        sight = Sight(
            counters,
            self._snapshots,
            read_journal,
            consumer.list_active,
            rejections,
            self._settings.silence_after,
            read_hosts,
            read_backup=None if folder is None else partial(read_newest, folder),
            read_replica=None if replica is None else partial(read_times, journal.path, replica),
        )
        rule = HostRule(self._settings.sidecar_http_host, self._settings.allowed_hosts)
        return Routes(
            rule,
            Registries(make_registry(sight, SeriesStarts()), make_registry(sight, counters.starts)),
            self._threads.find_dead,
            check_ready,
            lambda: counters.last_seq,
            read_positions=partial(encode_positions, counters, self._settings),
            find_counted=partial(encode_counted, counters),
            find_links=partial(find_links, self._settings, "Sidecar"),
            token=token,
        )

    def _watch(self, counters: Counters) -> int:
        """Save every SNAPSHOT_SECONDS; return 0 when asked to stop, 1 when a thread has died."""
        settings = self._settings
        pruner = Pruner(Journal(settings.journal_path, settings.journal_sync), settings)
        overflow_log = OverflowLog(counters, settings.symbol_limit)
        saved_at = time.monotonic()

        def step() -> None:
            nonlocal saved_at
            if time.monotonic() - saved_at >= SNAPSHOT_SECONDS:
                saved_at = time.monotonic()
                self._snapshots.save(counters)
                self._prune(pruner)
                overflow_log.step()

        return self.watch(WATCH_SECONDS, step)

    def _prune(self, pruner: Pruner) -> None:
        try:
            pruned = pruner.step(self._snapshots.durable_seq, PRUNE_SECONDS)
        except JournalError as error:
            _log.error("journal was not pruned", extra={"reason": error.reason, "detail": error.detail})
        else:
            if pruned:
                _log.info("journal pruned", extra={"trades": pruned})

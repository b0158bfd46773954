"""The daemon: set-up, a loop of small steps, shutdown. All threads start here."""

import logging
import signal
import threading
import time
from datetime import timedelta
from functools import partial
from typing import Final

from common.errors import JournalError, SnapshotError
from common.hosts import HostRule
from common.journal.connection import Connection
from common.journal.disk import DiskUsage, measure_disk
from common.journal.store import Journal
from common.settings import Settings
from common.wire.transport import KeyPair, Receiver
from sidecar.collector import Sight, SnapshotStatus
from sidecar.consumer import Consumer
from sidecar.lock import locked
from sidecar.registries import Registries
from sidecar.retention import Pruner, read_checkpoint
from sidecar.routes import Routes
from sidecar.server import Server
from sidecar.snapshot import decode_state, encode_state, load_snapshot, name_previous, set_aside, write_snapshot
from sidecar.state import State

SNAPSHOT_SECONDS: Final = 0.5
PRUNE_SECONDS: Final = 0.1
WATCH_SECONDS: Final = 0.1
JOIN_SECONDS: Final = 1.0
OVERFLOW_LOG_SECONDS: Final = 60.0
OVERFLOW_LOG_SYMBOLS: Final = 5

_log = logging.getLogger(__name__)


class Daemon:
    """The sidecar process: a consumer thread, an HTTP thread, and the main thread, which watches them and saves."""

    def __init__(self, settings: Settings) -> None:
        """Keep the settings; nothing is opened yet."""
        self._settings = settings
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._snapshots = SnapshotStatus()
        self._saved = State(journal_id="")
        self._open_journal = partial(Journal, settings.journal_path)
        self._saved_at = time.monotonic()
        self._overflow_logged = 0
        self._overflow_logged_at = float("-inf")

    def stop(self, *_: object) -> None:
        """Ask the daemon to stop; usable as a signal handler."""
        self._stopping.set()

    def run(self) -> int:
        """Count until stopped, and return the exit code: 1 when a thread died.

        Raises JournalError, AddressError or LockError when it cannot start.
        """
        settings = self._settings
        # The locks come first: a second sidecar that binds an ipc:// address would replace the first one's socket file.
        with (
            locked(journal=settings.journal_path, snapshot=settings.snapshot_path),
            Receiver(settings.webapp_zmq_addr, self._read_keys()) as receiver,
        ):
            server = Server(settings.sidecar_http_host, settings.sidecar_http_port)
            try:
                with self._open_journal() as journal:
                    state = self._load(journal)
                self._saved = decode_state(encode_state(state))
                # Until a save succeeds, the counters that were loaded are exposed: 0 would look like a reset.
                self._snapshots.observed = self._saved.observed
                state.register(settings.trading_symbols)
                consumer = Consumer(
                    state,
                    receiver,
                    self._open_journal,
                    symbol_limit=settings.symbol_limit,
                    trading_symbols=settings.trading_symbols,
                )
                consumer.catch_up(self._stopping)
                self._save(consumer)
                if self._stopping.is_set():
                    # Metrics of a partly read journal would look like a counter reset.
                    return 0
                registries = Registries(self._make_sight(consumer))
                ready = partial(_ready, consumer)
                rule = HostRule(settings.sidecar_http_host, settings.allowed_hosts)
                routes = Routes(rule, registries.choose, self._check_alive, ready, lambda: consumer.state.last_seq)
                server.open(routes.answer)
                self._start("consumer", partial(consumer.run, self._stopping))
                self._start("http", partial(server.serve_forever, poll_interval=0.1))
                _log.info(
                    "sidecar is counting",
                    extra={"http": server.server_address, "zmq": settings.webapp_zmq_addr, "last_seq": state.last_seq},
                )
                code = self._watch(consumer, self._make_pruner())
                server.shutdown()
                self._join()
                self._save(consumer)
            finally:
                server.server_close()
        return code

    def _read_keys(self) -> KeyPair:
        with self._open_journal() as journal:
            return journal.key_pair

    def _load(self, journal: Journal) -> State:
        checkpoint, last_seq = read_checkpoint(journal, self._settings.trading_symbols), journal.last_seq()
        path = self._settings.snapshot_path
        for each in (path, name_previous(path)):
            try:
                state = load_snapshot(each, checkpoint, last_seq)
            except SnapshotError as error:
                aside = set_aside(each, error.reason)
                _log.error(
                    "snapshot set aside; using the previous one and the journal",
                    extra={"reason": error.reason, "detail": error.detail, "aside": str(aside)},
                )
            else:
                if state is not None:
                    return state
        return checkpoint

    def _make_sight(self, consumer: Consumer) -> Sight:
        connection, lock = Connection(self._open_journal), threading.Lock()

        def read_journal() -> tuple[int, DiskUsage]:
            with lock:
                return connection.ask(lambda journal: (journal.last_seq(), measure_disk(journal.path)))

        return Sight(lambda: consumer.state, consumer.lock, self._snapshots, read_journal, consumer.list_active)

    def _make_pruner(self) -> Pruner:
        settings = self._settings
        return Pruner(
            partial(Journal, settings.journal_path, settings.journal_sync),
            retention=timedelta(seconds=settings.journal_retention),
            symbol_limit=settings.symbol_limit,
            trading_symbols=settings.trading_symbols,
        )

    def _start(self, name: str, work: partial[None]) -> None:
        def run() -> None:
            try:
                work()
            except Exception:  # noqa: BLE001 - any error must end the process and be logged
                _log.exception("thread died", extra={"worker": name})

        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _watch(self, consumer: Consumer, pruner: Pruner) -> int:
        """Save every SNAPSHOT_SECONDS; return 0 when asked to stop, 1 when a thread has died."""
        while not self._stopping.wait(WATCH_SECONDS):
            if self._check_alive() is not None:
                self._stopping.set()
                return 1
            if time.monotonic() - self._saved_at >= SNAPSHOT_SECONDS:
                self._save(consumer)
                self._prune(pruner)
                self._log_overflow(consumer)
        return 0

    def _log_overflow(self, consumer: Consumer) -> None:
        """Log at most every OVERFLOW_LOG_SECONDS which symbols are past the limit, the most frequent first."""
        with consumer.lock:
            trades, names = consumer.state.overflow_trades, dict(consumer.state.overflow_symbols)
        if trades == self._overflow_logged or time.monotonic() - self._overflow_logged_at < OVERFLOW_LOG_SECONDS:
            return
        worst = sorted(names, key=names.__getitem__, reverse=True)[:OVERFLOW_LOG_SYMBOLS]
        _log.warning(
            "symbol limit exceeded", extra={"trades": trades, "limit": self._settings.symbol_limit, "worst": worst}
        )
        self._overflow_logged, self._overflow_logged_at = trades, time.monotonic()

    def _prune(self, pruner: Pruner) -> None:
        try:
            pruned = pruner.step(self._snapshots.durable_seq, PRUNE_SECONDS)
        except JournalError as error:
            _log.error("journal was not pruned", extra={"reason": error.reason, "detail": error.detail})
        else:
            if pruned:
                _log.info("journal pruned", extra={"trades": pruned})

    def _save(self, consumer: Consumer) -> None:
        self._saved_at = time.monotonic()
        try:
            with consumer.lock:
                encoded = encode_state(consumer.state)
            saved = decode_state(encoded)
            write_snapshot(self._settings.snapshot_path, encoded)
        except SnapshotError as error:
            self._snapshots.failures += 1
            _log.error("snapshot failed", extra={"reason": error.reason, "detail": error.detail})
        else:
            # What is not in the journal is exposed as both snapshots hold it, that is, as the previous one does: after
            # the loss of either file the sidecar restarts from at least that, so no counter falls. The journal is
            # pruned only up to the previous one's seq, so every later trade can be read again.
            self._snapshots.saved_at = time.time()
            self._snapshots.durable_seq = self._saved.last_seq
            self._snapshots.observed = self._saved.observed
            self._saved = saved

    def _join(self) -> None:
        for thread in self._threads:
            thread.join(JOIN_SECONDS)
            if thread.is_alive():
                _log.error("thread did not stop in time", extra={"worker": thread.name})

    def _check_alive(self) -> str | None:
        dead = [thread.name for thread in self._threads if not thread.is_alive()]
        return f"thread {', '.join(dead)} is dead" if dead else None


def _ready(consumer: Consumer) -> str | None:
    error = consumer.journal_error
    return None if error is None else error.detail


def run_daemon(settings: Settings) -> int:
    """Run the daemon until SIGTERM or SIGINT, and return its exit code."""
    daemon = Daemon(settings)
    signal.signal(signal.SIGTERM, daemon.stop)
    signal.signal(signal.SIGINT, daemon.stop)
    return daemon.run()

"""A process that serves until it is stopped: its signals, and its end together with that of its supervisor."""

import logging
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial

from common.allocator import share_arena
from common.serving.threads import Threads
from common.settings import Settings
from common.supervisor import POLL_SECONDS, find_supervisor

_log = logging.getLogger(__name__)


class Daemon(ABC):
    """What a process runs: threads that end soon after ``stop`` was called, which sets ``stopping``."""

    def __init__(self, settings: Settings) -> None:
        """Keep the settings; nothing is opened yet."""
        self._settings = settings
        self.stopping = threading.Event()
        self._threads = Threads()

    def stop(self, *_: object) -> None:
        """Ask the daemon to stop; usable as a signal handler."""
        self.stopping.set()

    @abstractmethod
    def run(self) -> int:
        """Run until stopped, and return the exit code: 1 when a thread died."""

    def watch(self, seconds: float, step: Callable[[], None] = lambda: None) -> int:
        """Call ``step`` every so many seconds; return 0 when asked to stop, 1 when a thread has died."""
        while not self.stopping.wait(seconds):
            if self._threads.find_dead() is not None:
                self.stopping.set()
                return 1
            step()
        return 0


def run_daemon(daemon: Daemon) -> int:
    """Run the daemon until SIGTERM, SIGINT or SIGHUP, or until honcho has ended, and return its exit code."""
    share_arena()
    # A closed terminal sends SIGHUP.
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, daemon.stop)
    find_supervisor()
    Threads().start("supervisor", partial(_watch_supervisor, daemon))
    return daemon.run()


def _watch_supervisor(daemon: Daemon) -> None:
    supervisor = find_supervisor()
    while not daemon.stopping.wait(POLL_SECONDS):
        if supervisor.has_ended():
            _log.warning("supervisor has ended; stopping")
            daemon.stop()

"""A process that serves until it is stopped: its signals, and its end together with that of its supervisor."""

import logging
import signal
import threading
from functools import partial
from typing import Protocol

from common.serving.threads import Threads
from common.supervisor import POLL_SECONDS, find_supervisor

_log = logging.getLogger(__name__)


class Daemon(Protocol):
    """What a process runs: ``run`` returns the exit code soon after ``stop`` was called, which sets ``stopping``."""

    stopping: threading.Event

    def stop(self, *_: object) -> None:
        """Ask the daemon to stop; usable as a signal handler."""

    def run(self) -> int:
        """Run until stopped, and return the exit code."""


def run_daemon(daemon: Daemon) -> int:
    """Run the daemon until SIGTERM, SIGINT or SIGHUP, or until honcho has ended, and return its exit code."""
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

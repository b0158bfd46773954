"""The sidecar's process: its signals, and its end together with that of its supervisor."""

import logging
import signal
from functools import partial

from common.serving.threads import Threads
from common.settings import Settings
from common.supervisor import POLL_SECONDS, find_supervisor
from sidecar.daemon import Daemon

_log = logging.getLogger(__name__)


def run_daemon(settings: Settings) -> int:
    """Run the daemon until SIGTERM, SIGINT or SIGHUP, or until honcho has ended, and return its exit code."""
    daemon = Daemon(settings)
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

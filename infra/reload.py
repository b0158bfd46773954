"""``python -m infra.reload COMMAND PATH…``: run a command, and start it again when a file under the paths changes."""

import os
import signal
import sys
import threading
import time

from watchfiles import run_process

from common.supervisor import POLL_SECONDS, find_supervisor

STOP_SECONDS = 4
"""Seconds until SIGKILL for a command that is stopped; honcho waits for 5."""


def _stop_with_supervisor() -> None:
    while not find_supervisor().has_ended():
        time.sleep(POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Run until SIGTERM or SIGINT, or until honcho has ended."""
    command, *paths = sys.argv[1:]
    find_supervisor()
    threading.Thread(target=_stop_with_supervisor, daemon=True).start()
    run_process(*paths, target=command, target_type="command", sigint_timeout=STOP_SECONDS)


if __name__ == "__main__":
    main()

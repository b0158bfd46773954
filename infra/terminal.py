"""``python -m infra.terminal PID``: pass the closing of the terminal on to a process, as SIGHUP.

The kernel sends SIGHUP to the leader of the terminal's session only. When that is make, as under ``ssh -t`` or in the
terminal of an editor, it goes on waiting for the program that it runs, which would never know. honcho ends at once with
SIGHUP, and its processes follow it (common/supervisor.py); with SIGTERM it would first write to the closed terminal.
"""

import os
import select
import signal
import sys
from typing import Final

POLL_MILLISECONDS: Final = 500


def watch(pid: int) -> None:
    """Send SIGHUP to the parent process ``pid`` when the terminal is closed; return when it has ended."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return
    hang_up = select.poll()
    # POLLHUP is reported always, so no event is asked for.
    hang_up.register(terminal, 0)
    while os.getppid() == pid:
        if hang_up.poll(POLL_MILLISECONDS):
            os.kill(pid, signal.SIGHUP)
            return


if __name__ == "__main__":
    for each in (signal.SIGINT, signal.SIGHUP):
        # They are for the program; this process ends after it.
        signal.signal(each, signal.SIG_IGN)
    watch(int(sys.argv[1]))

"""A checkout of its own: the files of this one in another folder, started as its user would, in a clean shell."""

import contextlib
import os
import pty
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import requests

from tests.canaries import SUITE_KEY
from tests.conftest import ROOT, require_program
from tests.system.stack import free_ports
from tests.waiting import wait_for

CLEAN = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "TERM": "dumb", "LANG": "C.UTF-8"}
"""The environment of a clean shell, with no active virtual environment."""


class Checkout:
    """The checkout in ``folder``; it shares the virtual environment, and listens on free ports."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder.resolve()
        self._launched: list[subprocess.Popen[bytes]] = []
        listed = [require_program("git"), "ls-files", "--cached", "--others", "--exclude-standard"]
        for name in subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines():
            if (ROOT / name).is_file() and not name.startswith("tests/"):
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.folder / name)
        # Older than the environment, so that make does not install anything.
        os.utime(self.folder / "requirements-dev.txt", (0, 0))
        (self.folder / ".venv").symlink_to(ROOT / ".venv")
        web, sidecar, zmq = free_ports(3)
        self.web_url, self.sidecar_url = f"http://127.0.0.1:{web}", f"http://127.0.0.1:{sidecar}"
        self.web_port, self.sidecar_port, self.hints_port = web, sidecar, zmq
        lines = (ROOT / ".env.sample").read_text()
        for name, value in {
            "SECRET_KEY": SUITE_KEY,
            "WEBAPP_HTTP_PORT": str(web),
            "SIDECAR_HTTP_PORT": str(sidecar),
            "WEBAPP_ZMQ_ADDR": f"tcp://127.0.0.1:{zmq}",
        }.items():
            lines += f'\n{name}="{value}"'
        (self.folder / ".env").write_text(lines + "\n")
        (self.folder / ".env").chmod(0o600)

    def run(self, command: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a shell command in the checkout, in a clean shell."""
        return subprocess.run(
            ["/bin/bash", "-c", command],
            cwd=self.folder,
            env=CLEAN,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def launch(self, command: str) -> subprocess.Popen[bytes]:
        """Start a shell command in the background, with its output in ``stack.log``."""
        with (self.folder / "stack.log").open("ab") as log:
            process = subprocess.Popen(
                ["/bin/bash", "-c", f"exec {command}"],
                cwd=self.folder,
                env=CLEAN,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._launched.append(process)
        return process

    def open_terminal(self, *command: str) -> tuple[int, int]:
        """Start a command as the leader of a new terminal's session; return its pid and the terminal's descriptor."""
        pid, terminal = pty.fork()
        if pid == 0:
            # As a terminal does; a gate that runs under nohup ignores it, and its children would inherit that.
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            os.chdir(self.folder)
            os.execve(command[0], command, CLEAN)
        return pid, terminal

    def find(self, *words: str) -> list[psutil.Process]:
        """List the processes in the checkout whose program or first arguments hold one of the words."""
        found = []
        for process in self.processes():
            # A process may end between these two calls.
            with contextlib.suppress(psutil.Error):
                if any(word in " ".join(process.cmdline()[:3]) for word in words):
                    found.append(process)
        return found

    def processes(self) -> list[psutil.Process]:
        """List the processes that run in the checkout."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                is_here = process.cwd() == str(self.folder)
                if is_here and process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
                    found.append(process)
        return found

    def wait_ready(self, *urls: str) -> None:
        """Wait until each part answers."""

        def ready(url: str) -> bool:
            with contextlib.suppress(requests.RequestException):
                return requests.get(f"{url}/readyz", timeout=60).status_code == 200
            return False

        for url in urls or (self.web_url, self.sidecar_url):
            wait_for(lambda url=url: ready(url), f"{url} is ready", 60)  # type: ignore[misc]

    def wait_counted(self) -> None:
        """Wait until the sidecar has counted every trade of the journal."""
        wait_for(
            lambda: "\nsidecar_lag_events 0.0" in requests.get(f"{self.sidecar_url}/metrics", timeout=60).text, "lag 0"
        )

    def wait_gone(self, seconds: float = 20) -> None:
        """Wait until no process runs in the checkout."""
        wait_for(lambda: not self.processes(), "no process is left", seconds)

    def kill(self) -> None:
        """Kill all that runs in the checkout."""
        end = time.monotonic() + 10
        while (left := self.processes()) and time.monotonic() < end:
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(left, 1)
        for launched in self._launched:
            launched.wait(60)

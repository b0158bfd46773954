"""Starting and stopping as people do: in a terminal that closes, in the background, after a crash, with reload."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from common.supervisor import Supervisor, trace
from tests.conftest import require_program
from tests.system.checkout import Checkout
from tests.waiting import wait_for

TRADE = {"symbol": "BTCUSDT", "side": "BUY", "price": "27123.45", "qty": "0.25"}


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    """Yield a checkout; all that runs in it at the end is killed."""
    made = Checkout(tmp_path / "checkout")
    try:
        yield made
    finally:
        made.kill()


@contextlib.contextmanager
def window(terminal: int) -> Iterator[None]:
    """Read a terminal in the background, as its window does; at the end close it, which hangs up."""
    closing = threading.Event()

    def read() -> None:
        with contextlib.suppress(OSError):
            while not closing.is_set():
                if select.select([terminal], [], [], 0.1)[0]:
                    os.read(terminal, 65_536)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield
    finally:
        closing.set()
        thread.join()
        os.close(terminal)


def find_honcho(checkout: Checkout) -> psutil.Process:
    return min(checkout.find("/honcho"), key=lambda process: process.create_time())


@pytest.mark.parametrize("command", ["make apps-up", "make apps-up &", ""])
def test_a_closed_terminal_ends_the_stack(checkout: Checkout, command: str) -> None:
    make = require_program("make")
    # Without a command, make itself leads the session, as under `ssh -t` and in the terminals of editors.
    leader = ["/bin/bash", "--norc", "-i"] if command else [make, "apps-up"]
    pid, terminal = checkout.open_terminal(*leader)
    with window(terminal):
        if command:
            os.write(terminal, f"{command}\n".encode())
        checkout.wait_ready()
        assert len(checkout.processes()) >= 6
    checkout.wait_gone()
    os.waitpid(pid, 0)
    assert checkout.run("make apps-down").stdout == "No stack is running.\n"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", checkout.web_port))


def test_a_killed_honcho_leaves_nothing(checkout: Checkout) -> None:
    started = checkout.launch("make apps-up")
    checkout.wait_ready()
    find_honcho(checkout).kill()
    started.wait(60)
    checkout.wait_gone()
    log = (checkout.folder / "stack.log").read_text()
    assert "Traceback" not in log


@pytest.mark.parametrize("command", [".venv/bin/honcho start", ".venv/bin/honcho -e other.env start"])
def test_honcho_starts_in_a_clean_shell_and_ends_with_sigterm(checkout: Checkout, command: str) -> None:
    (checkout.folder / ".env").rename(checkout.folder / ("other.env" if "other" in command else ".env"))
    started = checkout.launch(command)
    checkout.wait_ready()
    assert requests.post(f"{checkout.web_url}/trade", json=TRADE, timeout=60).status_code == 201
    started.send_signal(signal.SIGTERM)
    started.wait(60)
    checkout.wait_gone()


def test_apps_down_stops_a_stack_that_runs(checkout: Checkout) -> None:
    started = checkout.launch("make apps-up")
    checkout.wait_ready()
    again = checkout.run("make apps-up")
    assert "running already" in again.stdout
    assert again.returncode != 0
    stopped = checkout.run(".venv/bin/python -m infra.apps down")
    assert (stopped.stdout, stopped.returncode) == ("The stack is stopped.\n", 0)
    assert checkout.processes() == []
    started.wait(60)


def test_apps_down_stops_a_stack_that_was_started_without_make(checkout: Checkout) -> None:
    started = checkout.launch(".venv/bin/honcho start")
    checkout.wait_ready()
    stopped = checkout.run("make apps-down")
    assert (stopped.stdout, stopped.returncode) == ("The stack is stopped.\n", 0)
    assert checkout.processes() == []
    started.wait(60)


def test_apps_down_stops_what_a_killed_honcho_left(checkout: Checkout) -> None:
    # Without honcho's variable the processes do not follow it, as those of earlier versions.
    parts = [
        checkout.launch(f".venv/bin/honcho run {part}")
        for part in (".venv/bin/gunicorn 'webapp:create_app()'", ".venv/bin/python -m sidecar")
    ]
    checkout.wait_ready()
    for part in parts:
        part.kill()
        part.wait(60)
    stopped = checkout.run(".venv/bin/python -m infra.apps down")
    assert (stopped.stdout, stopped.returncode) == ("The stack is stopped.\n", 0)
    assert checkout.processes() == []


def test_apps_down_kills_a_process_that_does_not_stop(checkout: Checkout) -> None:
    started = checkout.launch("make apps-up")
    checkout.wait_ready()
    for process in [*checkout.find("-m sidecar"), find_honcho(checkout)]:
        process.suspend()
    stopped = checkout.run("make apps-down")
    assert (stopped.stdout, stopped.returncode) == ("The stack is stopped.\n", 0)
    assert checkout.processes() == []
    started.wait(60)


def test_a_stale_pid_file_stops_no_other_program(checkout: Checkout) -> None:
    (checkout.folder / "var").mkdir(exist_ok=True)
    sleep = ["/bin/bash", "-c", "exec -a 'less honcho start.log' sleep 100"]
    with subprocess.Popen(sleep) as other:
        for content in (f"{other.pid}", f"{other.pid} 12.5", "", "x y", "1 0"):
            (checkout.folder / "var" / "honcho.pid").write_text(content)
            stopped = checkout.run(".venv/bin/python -m infra.apps down")
            assert (stopped.stdout, stopped.returncode) == ("No stack is running.\n", 0)
            assert other.poll() is None
        other.kill()


def test_apps_down_names_another_program_on_a_port(checkout: Checkout, tmp_path: Path) -> None:
    server = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(checkout.web_port)]
    with subprocess.Popen(server, cwd=tmp_path, stderr=subprocess.DEVNULL) as other:
        wait_for(lambda: psutil.Process(other.pid).net_connections("tcp"), "it listens")
        stopped = checkout.run(".venv/bin/python -m infra.apps down")
        assert stopped.returncode == 3
        assert f"127.0.0.1:{checkout.web_port} is in use by" in stopped.stdout
        assert f"(process {other.pid})" in stopped.stdout
        assert checkout.run("make apps-down").returncode != 0
        assert other.poll() is None
        other.kill()


def test_apps_dev_starts_again_what_changed(checkout: Checkout) -> None:
    started = checkout.launch("make apps-dev")
    checkout.wait_ready()

    def read_pids(word: str) -> set[int]:
        return {each.pid for each in checkout.find(word)}

    web, sidecar = read_pids(".venv/bin/gunicorn"), read_pids("-m sidecar")
    template = checkout.folder / "templates" / "base.html"
    template.write_text(template.read_text().replace("</body>", "<p>reloaded page</p></body>"))
    module = checkout.folder / "sidecar" / "routes.py"
    module.write_text(module.read_text() + "\n# changed\n")

    def shows() -> bool:
        try:
            return "reloaded page" in requests.get(checkout.web_url, timeout=60).text
        except requests.RequestException:
            return False

    wait_for(shows, "the page has the changed template", 30)
    wait_for(lambda: read_pids("-m sidecar") and not read_pids("-m sidecar") & sidecar, "the sidecar is a new one", 30)
    wait_for(lambda: not read_pids("bin/gunicorn") & web, "the web process is a new one", 30)
    checkout.wait_ready()
    started.send_signal(signal.SIGTERM)
    checkout.wait_gone()
    started.wait(60)


def test_a_process_without_honcho_has_no_supervisor() -> None:
    assert trace(os.getpid(), {}) == Supervisor(())
    assert not Supervisor(()).has_ended()


def test_a_supervisor_has_ended_when_a_parent_is_another_one() -> None:
    assert Supervisor(((os.getpid(), os.getppid() + 1),)).has_ended()
    assert not Supervisor(((os.getpid(), os.getppid()),)).has_ended()

"""Starts web and sidecar under honcho, and stops them however they were left: in the background, or without honcho."""

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import psutil
from honcho.environ import parse  # type: ignore[import-untyped]

from common.errors import BadSettingError
from common.settings import Settings, write_address

ROOT: Final = Path(__file__).resolve().parent.parent
PID_FILE: Final = ROOT / "var" / "honcho.pid"
STOP_SECONDS: Final = 8
"""honcho stops its processes within 5 s; those still running after this time are killed."""
KILL_SECONDS: Final = 2
POLL_SECONDS: Final = 0.05

NOT_STOPPED: Final = 1
PORT_HELD: Final = 3

_HONCHO = ROOT / ".venv" / "bin" / "honcho"
_OURS = ("webapp:create_app()", "-m sidecar")


def up(procfile: str) -> int:
    """Replace this process with honcho; return only when a stack of this folder runs already."""
    running = read_pid_file()
    if running is not None:
        _print(f"The stack is running already (honcho is process {running.pid}); make apps-down stops it.")
        return NOT_STOPPED
    PID_FILE.parent.mkdir(exist_ok=True)
    me = psutil.Process()
    PID_FILE.write_text(f"{me.pid} {me.create_time()}\n")
    os.chdir(ROOT)
    # Not under nohup, which ignores SIGHUP so that a closed terminal changes nothing.
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        subprocess.Popen([sys.executable, "-m", "infra.terminal", str(me.pid)])
    return os.execv(_HONCHO, [str(_HONCHO), "-f", procfile, "start"])  # noqa: S606 - no shell is needed


def down(environ: Mapping[str, str]) -> int:
    """Stop the stack of this folder, and name every other program that listens on its ports.

    Return 0 when nothing of the stack runs any more, NOT_STOPPED when a process could not be ended, and PORT_HELD when
    another program listens on a port.
    """
    settings = Settings.from_env(environ)
    addresses = {
        settings.webapp_http_port: write_address(settings.webapp_http_host, settings.webapp_http_port),
        settings.sidecar_http_port: write_address(settings.sidecar_http_host, settings.sidecar_http_port),
    }
    zmq = re.fullmatch(r"tcp://(.*:([0-9]+))", settings.webapp_zmq_addr)
    if zmq is not None:
        addresses[int(zmq[2])] = zmq[1]
    found = find_stack(addresses)
    rest = stop(found)
    PID_FILE.unlink(missing_ok=True)
    if rest:
        _print(f"Not stopped: {', '.join(map(describe, rest))}. Stop it as the user that started it.")
        return NOT_STOPPED
    others = dict(find_holders(addresses))
    for port, holder in others.items():
        _print(f"{addresses[port]} is in use by {describe(holder)}, which is not of this stack; it was left running.")
    if found:
        _print("The stack is stopped.")
    elif not others:
        _print("No stack is running.")
    return PORT_HELD if others else 0


def read_pid_file() -> psutil.Process | None:
    """Return the honcho that the pid file is of, when it still runs; a pid alone may be another program's by now."""
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        pid, created = PID_FILE.read_text().split()
        process = psutil.Process(int(pid))
        if process.create_time() == float(created) and process.is_running():
            return process
    return None


def find_stack(ports: Mapping[int, str]) -> list[psutil.Process]:
    """Find the topmost processes of this folder's stack: honcho, or what is left without it."""
    found = {process for process in (read_pid_file(),) if process is not None}
    for _, holder in find_holders(ports):
        if _is_ours(holder):
            above = [holder, *holder.parents()]
            honcho = [each for each in above if _is_honcho(each)]
            ours = [each for each in above if _is_ours(each)]
            found.update(honcho[-1:] or ours[-1:])
    return sorted(found, key=lambda process: process.pid)


def find_holders(ports: Mapping[int, str]) -> Iterator[tuple[int, psutil.Process]]:
    """Find the processes that listen on these ports; those of other users are found only by root."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            listening = {
                each.laddr.port for each in process.net_connections("tcp") if each.status == psutil.CONN_LISTEN
            }
            yield from ((port, process) for port in listening & ports.keys())


def stop(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Stop processes and all below them: SIGTERM, and SIGKILL after STOP_SECONDS. Return those that still run."""
    below: set[psutil.Process] = set(processes)
    for process in processes:
        with contextlib.suppress(psutil.Error):
            below.update(process.children(recursive=True))
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.terminate()
            # A stopped process receives SIGTERM only when it goes on.
            process.send_signal(signal.SIGCONT)
    rest = _wait(below, STOP_SECONDS)
    for process in rest:
        with contextlib.suppress(psutil.Error):
            process.kill()
    return _wait(rest, KILL_SECONDS)


def _wait(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until processes have ended. Return those that still run after ``seconds``."""
    end = time.monotonic() + seconds
    while (left := [each for each in processes if not _has_ended(each)]) and time.monotonic() < end:
        time.sleep(POLL_SECONDS)
    return left


def _has_ended(process: psutil.Process) -> bool:
    # A zombie has ended, and its parent has not asked for its exit code yet.
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def describe(process: psutil.Process) -> str:
    """Describe a process by its command and its id."""
    try:
        command = " ".join(process.cmdline()) or process.name()
    except psutil.Error:
        command = "a process"
    return f"{command[:60]} (process {process.pid})"


def _is_ours(process: psutil.Process) -> bool:
    """Whether a process is the web or the sidecar of this folder."""
    try:
        arguments = process.cmdline()
        # gunicorn's processes may have a title instead of arguments.
        is_part = any(part in " ".join(arguments) for part in _OURS) and process.uids().real == os.getuid()
        return is_part and "python" in Path(process.exe()).name and Path(process.cwd()) == ROOT
    except (psutil.Error, OSError):
        return False


def _is_honcho(process: psutil.Process) -> bool:
    try:
        return "honcho" in [Path(argument).name for argument in process.cmdline()[:2]] and Path(process.cwd()) == ROOT
    except (psutil.Error, OSError):
        return False


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def read_environ(env_file: Path = ROOT / ".env") -> dict[str, str]:
    """Read the environment as honcho gives it to the processes: the file's values override the shell's."""
    return os.environ | (parse(env_file.read_text()) if env_file.exists() else {})


def main() -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m infra.apps")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up").add_argument("--procfile", default="Procfile")
    commands.add_parser("down")
    arguments = parser.parse_args()
    if arguments.command == "up":
        return up(arguments.procfile)
    try:
        return down(read_environ())
    except BadSettingError as error:
        sys.stderr.write(f"cannot find the ports: {error}\n")
        return NOT_STOPPED


if __name__ == "__main__":
    sys.exit(main())

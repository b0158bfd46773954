"""The faults, by name. Each function injects one into the running processes and ends it before it returns."""

import contextlib
import hashlib
import json
import math
import os
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NoReturn

import psutil

from common.timestamps import parse_timestamp
from sidecar.snapshot import VERSION
from tests.system.stack import Stack
from tests.waiting import wait_for

FRESH_SECONDS = 5
_PAUSE = threading.Event()


def kill_worker(stack: Stack, rng: random.Random) -> None:
    kill(pick_worker(stack, rng))


def kill_all_workers(stack: Stack, _: random.Random) -> None:
    for worker in stack.workers():
        kill(worker)


def kill_master(stack: Stack, _: random.Random) -> None:
    workers = stack.workers()
    kill(stack.find("web"))
    # Workers notice within a second that the master has ended, and close its port.
    assert not psutil.wait_procs(workers, 10)[1], "workers outlive their master"
    stack.stop("web")
    stack.start("web")


def kill_sidecar(stack: Stack, _: random.Random) -> None:
    kill(stack.find("sidecar"))
    stack.stop("sidecar")
    stack.start("sidecar")


def kill_both(stack: Stack, rng: random.Random) -> None:
    sidecar = stack.find("sidecar")
    kill(sidecar)
    kill_master(stack, rng)
    stack.stop("sidecar")
    stack.start("sidecar")


def freeze_worker(stack: Stack, rng: random.Random) -> None:
    with frozen(pick_worker(stack, rng)):
        _PAUSE.wait(rng.uniform(0.2, 1.5))


def hang_worker(stack: Stack, rng: random.Random) -> None:
    """Freeze a worker until its master's timeout kills it."""

    # gunicorn's timeout starts with a worker's first heartbeat; a worker that hangs earlier is never killed.
    def find_started() -> list[psutil.Process]:
        return [worker for worker in stack.workers() if time.time() - worker.create_time() > 2]

    worker = rng.choice(wait_for(find_started, "a worker is serving", 30))
    with frozen(worker):
        wait_for(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, "it is killed", 15)


def freeze_sidecar(stack: Stack, rng: random.Random) -> None:
    with frozen(stack.find("sidecar")):
        _PAUSE.wait(rng.uniform(0.5, 3))


def reload(stack: Stack, _: random.Random) -> None:
    old = stack.workers()
    stack.find("web").send_signal(signal.SIGHUP)
    wait_for(lambda: not old & stack.workers() and len(stack.workers()) >= 2, "all workers are new", 20)


def terminate_web(stack: Stack, _: random.Random) -> None:
    end(stack, "web")


def interrupt_web(stack: Stack, _: random.Random) -> None:
    master = stack.find("web")
    workers = stack.workers()
    master.send_signal(signal.SIGINT)
    psutil.wait_procs([master, *workers], 5)
    stack.stop("web")
    stack.start("web")


def terminate_sidecar(stack: Stack, _: random.Random) -> None:
    end(stack, "sidecar")


def lock_journal(stack: Stack, rng: random.Random) -> None:
    with locked(stack):
        _PAUSE.wait(rng.uniform(0.5, 3))


def contend_for_journal(stack: Stack, rng: random.Random) -> None:
    """Hold the journal's lock ten times for 50 to 200 ms, as commits on a slow disk would."""
    for _ in range(10):
        with locked(stack):
            _PAUSE.wait(rng.uniform(0.05, 0.2))


def fill_disk(stack: Stack, rng: random.Random) -> None:
    with filled(stack.folder / "disk"):
        _PAUSE.wait(rng.uniform(0.5, 2))


def fail_writes(stack: Stack, rng: random.Random) -> None:
    """Make the workers' writes past 4 kB of a file fail, as a broken disk would."""
    workers = stack.workers()
    for worker in workers:
        limit(worker, 4096)
    _PAUSE.wait(rng.uniform(0.5, 1.5))
    for worker in workers:
        limit(worker, psutil.RLIM_INFINITY)


def tear_snapshot(stack: Stack, rng: random.Random) -> None:
    kill(stack.find("sidecar"))
    stack.stop("sidecar")
    path = Path(stack.settings["SNAPSHOT_PATH"])
    whole = path.read_bytes()
    offset = rng.randrange(len(whole))
    path.write_bytes(rng.choice((whole[:offset], b"", whole[:offset] + b"\x00" + whole[offset + 1 :], b"garbage\n")))
    stack.start("sidecar")
    assert list(path.parent.glob(f"{path.name}.torn")) + list(path.parent.glob(f"{path.name}.version"))


def spoil_snapshot(stack: Stack, rng: random.Random) -> None:
    """Write a snapshot with wrong content and a valid checksum."""
    kill(stack.find("sidecar"))
    stack.stop("sidecar")
    path = Path(stack.settings["SNAPSHOT_PATH"])
    state = json.loads(path.read_bytes().partition(b"\n")[2])
    changes: list[dict[str, object]] = [
        {"last_seq": 1},
        {"notional": {}},
        {"observed": []},
        {"symbols": {}},
        {"version": 99},
    ]
    change = rng.choice(changes)
    body = json.dumps(state | change).encode()
    path.write_bytes(b"%b %b\n%b" % (VERSION, hashlib.sha256(body).hexdigest().encode(), body))
    stack.start("sidecar")
    assert list(path.parent.glob(f"{path.name}.content")) + list(path.parent.glob(f"{path.name}.version"))


def lose_snapshot(stack: Stack, _: random.Random) -> None:
    kill(stack.find("sidecar"))
    stack.stop("sidecar")
    Path(stack.settings["SNAPSHOT_PATH"]).unlink()
    stack.start("sidecar")


GARBAGE_WITH_KEY: Final = 0.5


def send_rubbish(stack: Stack, rng: random.Random) -> None:
    with stack.peer(authorised=rng.random() < GARBAGE_WITH_KEY) as socket:
        before = stack.total("sidecar_messages_rejected_total")

        def send() -> bool:
            for _ in range(100):
                socket.send_multipart([rng.randbytes(rng.randrange(40)) for _ in range(rng.randrange(1, 4))])
            return stack.total("sidecar_messages_rejected_total") > before

        wait_for(send, "garbage is counted")


def step_clock_back(stack: Stack, rng: random.Random) -> None:
    with shifted(stack, rng, -1):
        _PAUSE.wait(rng.uniform(1, 3))


def step_clock_ahead(stack: Stack, rng: random.Random) -> None:
    with shifted(stack, rng, 1):
        _PAUSE.wait(rng.uniform(1, 3))


def kill_workers_while_clock_ahead(stack: Stack, rng: random.Random) -> None:
    """Kill all workers while trades seem old at once, and hold the lock, so that they are sent again only later."""
    with shifted(stack, rng, 1):
        for _ in range(2):
            kill_all_workers(stack, rng)
            with locked(stack):
                _PAUSE.wait(1.2)


FAULTS: dict[str, Callable[[Stack, random.Random], None]] = {
    fault.__name__: fault
    for fault in (
        kill_worker,
        kill_all_workers,
        kill_master,
        kill_sidecar,
        kill_both,
        freeze_worker,
        hang_worker,
        freeze_sidecar,
        reload,
        terminate_web,
        interrupt_web,
        terminate_sidecar,
        lock_journal,
        contend_for_journal,
        fill_disk,
        fail_writes,
        tear_snapshot,
        spoil_snapshot,
        lose_snapshot,
        send_rubbish,
        step_clock_back,
        step_clock_ahead,
        kill_workers_while_clock_ahead,
    )
}


def pick_worker(stack: Stack, rng: random.Random) -> psutil.Process:
    return rng.choice(sorted(wait_for(stack.workers, "a worker runs"), key=lambda worker: worker.pid))


def kill(process: psutil.Process) -> None:
    # The worker may have been recycled since.
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()


def limit(process: psutil.Process, size: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.rlimit(psutil.RLIMIT_FSIZE, (size, psutil.RLIM_INFINITY))


def end(stack: Stack, service: str) -> None:
    """Stop a process gracefully, before honcho kills it, and start it again."""
    stack.stop(service)
    stopped = [line for line in stack.log.read_text().splitlines() if f"{service}.1 stopped (rc=" in line]
    assert "(rc=0)" in stopped[-1], stopped[-1]
    stack.start(service)


@contextlib.contextmanager
def frozen(process: psutil.Process) -> Iterator[None]:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.suspend()
    yield
    with contextlib.suppress(psutil.NoSuchProcess):
        process.resume()


@contextlib.contextmanager
def shifted(stack: Stack, rng: random.Random, direction: int) -> Iterator[None]:
    """Shift the clock of the workers, the sidecar or both, by 0.5 s to 400 days."""
    services = rng.choice((("web",), ("sidecar",), ("web", "sidecar")))
    seconds = direction * rng.choice((0.5, 5, 3600, 400 * 86_400))
    files = [Path(stack.settings["CLOCK_FOLDER"]) / service for service in services]
    for file in files:
        file.write_text(str(seconds))
    if "web" in services:
        wait_for(lambda: abs(read_newest_age(stack) + seconds) < FRESH_SECONDS, "trades have the shifted time")
    yield
    for file in files:
        file.unlink()


@contextlib.contextmanager
def locked(stack: Stack) -> Iterator[None]:
    """Hold the journal's write lock, as a backup or an open transaction in a shell would."""
    with contextlib.closing(sqlite3.connect(stack.settings["JOURNAL_PATH"], timeout=20, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")


@contextlib.contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Fill a disk to the last byte."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        # Space that other processes free meanwhile is filled too, to the last page.
        with contextlib.suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize)
        with contextlib.suppress(OSError):
            write_until_full(file.fileno())
    yield
    filler.unlink()


def read_newest_age(stack: Stack) -> float:
    """Return the age of the newest trade in seconds, by its own time."""
    with contextlib.closing(sqlite3.connect(stack.settings["JOURNAL_PATH"])) as db:
        (accepted_at,) = db.execute("SELECT accepted_at FROM trades ORDER BY seq DESC LIMIT 1").fetchone() or ("",)
    return time.time() - parse_timestamp(accepted_at).timestamp() if accepted_at else math.inf


def write_until_full(descriptor: int) -> NoReturn:
    os.lseek(descriptor, 0, os.SEEK_END)
    while True:
        os.write(descriptor, b"\x00" * 4096)

"""The faults, each under its name: done to the running processes, and over when the function returns."""

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


def kill_worker(stack: Stack, dice: random.Random) -> None:
    kill(pick_worker(stack, dice))


def kill_all_workers(stack: Stack, _: random.Random) -> None:
    for worker in stack.workers():
        kill(worker)


def kill_master(stack: Stack, _: random.Random) -> None:
    workers = stack.workers()
    kill(stack.find("web"))
    # They notice within a second that their master is gone, and free its port.
    assert not psutil.wait_procs(workers, 10)[1], "workers outlive their master"
    stack.stop("web")
    stack.start("web")


def kill_sidecar(stack: Stack, _: random.Random) -> None:
    kill(stack.find("sidecar"))
    stack.stop("sidecar")
    stack.start("sidecar")


def kill_both(stack: Stack, dice: random.Random) -> None:
    sidecar = stack.find("sidecar")
    kill(sidecar)
    kill_master(stack, dice)
    stack.stop("sidecar")
    stack.start("sidecar")


def freeze_worker(stack: Stack, dice: random.Random) -> None:
    with frozen(pick_worker(stack, dice)):
        _PAUSE.wait(dice.uniform(0.2, 1.5))


def hang_worker(stack: Stack, dice: random.Random) -> None:
    """Freeze a worker until its master's timeout kills it."""

    # gunicorn's timeout begins with a worker's first heartbeat: one that hangs before it is never killed.
    def find_settled() -> list[psutil.Process]:
        return [worker for worker in stack.workers() if time.time() - worker.create_time() > 2]

    worker = dice.choice(wait_for(find_settled, "a worker has begun to serve", 30))
    with frozen(worker):
        wait_for(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, "it is killed", 15)


def freeze_sidecar(stack: Stack, dice: random.Random) -> None:
    with frozen(stack.find("sidecar")):
        _PAUSE.wait(dice.uniform(0.5, 3))


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


def lock_journal(stack: Stack, dice: random.Random) -> None:
    with locked(stack):
        _PAUSE.wait(dice.uniform(0.5, 3))


def contend_for_journal(stack: Stack, dice: random.Random) -> None:
    """Take the journal's lock ten times for a moment, as a slow disk would hold it."""
    for _ in range(10):
        with locked(stack):
            _PAUSE.wait(dice.uniform(0.05, 0.2))


def fill_disk(stack: Stack, dice: random.Random) -> None:
    with filled(stack.folder / "disk"):
        _PAUSE.wait(dice.uniform(0.5, 2))


def fail_writes(stack: Stack, dice: random.Random) -> None:
    """Let every write of the workers past 4 kB of a file fail, as a broken disk would."""
    workers = stack.workers()
    for worker in workers:
        limit(worker, 4096)
    _PAUSE.wait(dice.uniform(0.5, 1.5))
    for worker in workers:
        limit(worker, psutil.RLIM_INFINITY)


def tear_snapshot(stack: Stack, dice: random.Random) -> None:
    kill(stack.find("sidecar"))
    stack.stop("sidecar")
    path = Path(stack.settings["SNAPSHOT_PATH"])
    whole = path.read_bytes()
    place = dice.randrange(len(whole))
    path.write_bytes(dice.choice((whole[:place], b"", whole[:place] + b"\x00" + whole[place + 1 :], b"rubbish\n")))
    stack.start("sidecar")
    assert list(path.parent.glob(f"{path.name}.torn")) + list(path.parent.glob(f"{path.name}.version"))


def spoil_snapshot(stack: Stack, dice: random.Random) -> None:
    """Put something else into a snapshot, under a right checksum."""
    kill(stack.find("sidecar"))
    stack.stop("sidecar")
    path = Path(stack.settings["SNAPSHOT_PATH"])
    state = json.loads(path.read_bytes().partition(b"\n")[2])
    rubbish: list[dict[str, object]] = [
        {"last_seq": 1},
        {"notional": {}},
        {"observed": []},
        {"symbols": {}},
        {"version": 99},
    ]
    spoiled = dice.choice(rubbish)
    body = json.dumps(state | spoiled).encode()
    path.write_bytes(b"%b %b\n%b" % (VERSION, hashlib.sha256(body).hexdigest().encode(), body))
    stack.start("sidecar")
    assert list(path.parent.glob(f"{path.name}.content")) + list(path.parent.glob(f"{path.name}.version"))


def lose_snapshot(stack: Stack, _: random.Random) -> None:
    kill(stack.find("sidecar"))
    stack.stop("sidecar")
    Path(stack.settings["SNAPSHOT_PATH"]).unlink()
    stack.start("sidecar")


RUBBISH_WITH_KEY: Final = 0.5


def send_rubbish(stack: Stack, dice: random.Random) -> None:
    with stack.peer(authorised=dice.random() < RUBBISH_WITH_KEY) as socket:
        before = stack.total("sidecar_messages_rejected_total")

        def send() -> bool:
            for _ in range(100):
                socket.send_multipart([dice.randbytes(dice.randrange(40)) for _ in range(dice.randrange(1, 4))])
            return stack.total("sidecar_messages_rejected_total") > before

        wait_for(send, "rubbish is counted")


def step_clock_back(stack: Stack, dice: random.Random) -> None:
    with shifted(stack, dice, -1):
        _PAUSE.wait(dice.uniform(1, 3))


def step_clock_ahead(stack: Stack, dice: random.Random) -> None:
    with shifted(stack, dice, 1):
        _PAUSE.wait(dice.uniform(1, 3))


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
    )
}


def pick_worker(stack: Stack, dice: random.Random) -> psutil.Process:
    return dice.choice(sorted(wait_for(stack.workers, "a worker runs"), key=lambda worker: worker.pid))


def kill(process: psutil.Process) -> None:
    # A worker may have been recycled since it was looked up.
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()


def limit(process: psutil.Process, size: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.rlimit(psutil.RLIMIT_FSIZE, (size, psutil.RLIM_INFINITY))


def end(stack: Stack, service: str) -> None:
    """Let a process end in good order within four seconds, and start it again."""
    stack.stop(service, 4)
    ended = [line for line in stack.log.read_text().splitlines() if f"{service}.1 stopped (rc=" in line]
    assert "(rc=0)" in ended[-1], ended[-1]
    stack.start(service)


@contextlib.contextmanager
def frozen(process: psutil.Process) -> Iterator[None]:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.suspend()
    yield
    with contextlib.suppress(psutil.NoSuchProcess):
        process.resume()


@contextlib.contextmanager
def shifted(stack: Stack, dice: random.Random, direction: int) -> Iterator[None]:
    """Set the clock of the workers, of the sidecar or of both ahead or back, by a little or by far."""
    services = dice.choice((("web",), ("sidecar",), ("web", "sidecar")))
    seconds = direction * dice.choice((0.5, 5, 3600, 400 * 86_400))
    files = [Path(stack.settings["CLOCK_FOLDER"]) / service for service in services]
    for file in files:
        file.write_text(str(seconds))
    if "web" in services:
        wait_for(lambda: abs(read_newest_age(stack) + seconds) < FRESH_SECONDS, "trades are stamped so")
    yield
    for file in files:
        file.unlink()


@contextlib.contextmanager
def locked(stack: Stack) -> Iterator[None]:
    """Hold the journal's write lock, as a backup or a careless shell would."""
    with contextlib.closing(sqlite3.connect(stack.settings["JOURNAL_PATH"], timeout=20, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")


@contextlib.contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Leave no free byte on a disk."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        # What others free meanwhile is taken too, down to the last page.
        with contextlib.suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize)
        with contextlib.suppress(OSError):
            write_until_full(file.fileno())
    yield
    filler.unlink()


def read_newest_age(stack: Stack) -> float:
    """Tell how many seconds ago the newest trade was accepted, by its own time."""
    with contextlib.closing(sqlite3.connect(stack.settings["JOURNAL_PATH"])) as db:
        (stamp,) = db.execute("SELECT accepted_at FROM trades ORDER BY seq DESC LIMIT 1").fetchone() or ("",)
    return time.time() - parse_timestamp(stamp).timestamp() if stamp else math.inf


def write_until_full(descriptor: int) -> NoReturn:
    os.lseek(descriptor, 0, os.SEEK_END)
    while True:
        os.write(descriptor, b"\x00" * 4096)

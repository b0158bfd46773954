"""Profiles: for a measurement whose goal is not reached, the functions that its processor time goes to, by py-spy.

The measurement itself runs for some rounds, and each of its processes of ours is sampled while it lives. A thread that
waits is not counted. Source: https://github.com/benfred/py-spy.
"""

import contextlib
import re
import signal
import subprocess
import sysconfig
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple, Self

import psutil

from bench.measure import OURS, Measure, Run
from tests.conftest import ROOT

SECONDS: Final = 8.0
SAMPLES: Final = 400
"""A second, of each process."""

LINES: Final = 12
POLL_SECONDS: Final = 0.02
STOP_SECONDS: Final = 30

_PY_SPY: Final = Path(sysconfig.get_path("scripts")) / "py-spy"

# py-spy asks the system which threads wait, and not every system says so.
_WAITING: Final = re.compile(r"acquire_with_timeout |Condition\.wait |Poller\.poll |_PollLikeSelector\.select ")
_FRAME: Final = re.compile(r"(.*) \((.*?)(?:\.py)?(?::\d+)?\)")


class Role(NamedTuple):
    """What a process of ours does: words of its command, and the function within which it does what is measured."""

    about: str
    words: tuple[str, ...]
    within: str = ""


ROLES: Final = (
    Role("the web processes", ("gunicorn",)),
    Role("the sidecar", ("-m", "sidecar")),
    Role("the step of counting", ("messages.py", "count"), "Consumer.step "),
    Role("a replay", ("replay.py",), "Consumer.catch_up "),
)


def write_profile(measure: Measure) -> str:
    """Run a measurement and profile it; return a table for each kind of process, or why there is none."""
    if measure.once:
        return ""
    try:
        tables = [write_functions(role, stacks) for role, stacks in sample(measure).items() if stacks]
    except Exception as error:  # noqa: BLE001 - whatever it is, the page is written without it
        tables = [f"Not profiled: {error}\n"]
    return f"### `{measure.name}`\n\n" + ("\n".join(tables) or "py-spy may not look at other processes here.\n")


def sample(measure: Measure) -> Mapping[Role, Counter[str]]:
    """Run a measurement for some rounds; return how often each stack was seen, by role."""
    with tempfile.TemporaryDirectory() as folder:
        opening = measure.list_subjects(Run({OURS: ROOT}, Path(folder)))[OURS]
        with opening() as measure_round, Sampling(Path(folder)) as sampling:
            ends_at = time.monotonic() + SECONDS
            while time.monotonic() < ends_at:
                measure_round()
        return sampling.read()


class _Sampled(NamedTuple):
    role: Role
    path: Path
    sampler: subprocess.Popen[bytes]


class Sampling:
    """Samples each process below this one that has a role, from when it is found until it, or the block, ends."""

    def __init__(self, folder: Path) -> None:
        """Keep the folder of the samples."""
        self._folder = folder
        self._found: dict[int, _Sampled] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, and wait until all is written."""
        self._ending.set()
        self._thread.join()
        for found in self._found.values():
            found.sampler.send_signal(signal.SIGINT)
            found.sampler.wait(STOP_SECONDS)

    def _watch(self) -> None:
        while not self._ending.wait(POLL_SECONDS):
            for process in psutil.Process().children(recursive=True):
                role = None if process.pid in self._found else find_role(process)
                if role is not None:
                    path = self._folder / f"{process.pid}.stacks"
                    self._found[process.pid] = _Sampled(role, path, _start(process.pid, path))

    def read(self) -> Mapping[Role, Counter[str]]:
        """Read how often each stack was seen, by role, without those of threads that wait or do something else."""
        stacks: dict[Role, Counter[str]] = {role: Counter() for role in ROLES}
        for role, path, _ in self._found.values():
            # It is not there when py-spy may not look at the process, or found it ended.
            for line in path.read_text().splitlines() if path.exists() else ():
                stack, _, count = line.rpartition(" ")
                if stack and role.within in stack and not _WAITING.search(_find_last(stack)):
                    stacks[role][stack] += int(count)
        return stacks


def find_role(process: psutil.Process) -> Role | None:
    """Return what a process does; None for any other, and for one that has ended."""
    with contextlib.suppress(psutil.Error):
        words = process.cmdline()
        found = next((role for role in ROLES if _has_words(words, role.words)), None)
        # gunicorn's master only waits.
        return None if found is ROLES[0] and process.children() else found
    return None


def _has_words(command: Iterable[str], words: tuple[str, ...]) -> bool:
    return all(any(part == word or part.endswith(f"/{word}") for part in command) for word in words)


def _start(pid: int, path: Path) -> subprocess.Popen[bytes]:
    command = [
        str(_PY_SPY),
        "record",
        "--pid",
        str(pid),
        "--rate",
        str(SAMPLES),
        "--format",
        "raw",
        "--output",
        str(path),
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def _find_last(stack: str) -> str:
    return stack.rpartition(";")[2]


def write_functions(role: Role, stacks: Mapping[str, int]) -> str:
    """Write the parts of the time that packages and functions have of their own."""
    whole = sum(stacks.values())
    packages: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for stack, count in stacks.items():
        name = name_function(_find_last(stack))
        functions[name] += count
        packages[name.partition(".")[0]] += count
    parts = ", ".join(f"{name} {count / whole:.0%}" for name, count in packages.most_common(6))
    rows = [f"| {count / whole:.0%} | `{name}` |" for name, count in functions.most_common(LINES)]
    about = f"{role.about[0].upper()}{role.about[1:]}, {whole:,} samples: {parts}."
    return "\n".join([about, "", "| own time | function |", "| --- | --- |", *rows]) + "\n"


def name_function(frame: str) -> str:
    """Name the function of a frame by its module."""
    found = _FRAME.fullmatch(frame)
    return frame if found is None else f"{found[2].replace('/', '.')}.{found[1]}"

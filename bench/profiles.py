"""Profiles: for a measurement whose goal is not reached, the functions that its work in one process goes to."""

import pstats
import re
import sys
import sysconfig
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from bench.processes import run_probe
from tests.conftest import ROOT

LINES: Final = 12
TRADES: Final = 50_000
SYMBOLS: Final = 1_000
BATCH: Final = 1_000


class Profiled(NamedTuple):
    """What is profiled of a measurement: a function of a probe; ``trades`` are those of the journal that it reads."""

    about: str
    probe: str
    function: str
    arguments: tuple[int, ...]
    trades: int = 0


PROFILED: Final = {
    "post": Profiled("`POST /trade` without its server", "accept", "accept", (1, 1_000)),
    "batch": Profiled("`POST /trades` without its server", "accept", "accept", (BATCH, 10)),
    "count": Profiled("the sidecar's step, one trade a message", "messages", "count", (1, 10_000)),
    "restart": Profiled("a replay", "replay", "replay", (0, SYMBOLS), TRADES),
    "scrape": Profiled("the exposition of 1,000 symbols, five times", "replay", "replay", (5, SYMBOLS), 2 * SYMBOLS),
}


def write_profile(measure: str) -> str:
    """Profile the work of a measurement, and return its table; nothing for one that is not profiled."""
    profiled = PROFILED.get(measure)
    if profiled is None:
        return ""
    with tempfile.TemporaryDirectory() as folder:
        path, journal = Path(folder) / "profile", Path(folder) / "journal.db"
        arguments: Sequence[object] = profiled.arguments
        if profiled.trades:
            run_probe(ROOT, "fill", journal, profiled.trades, SYMBOLS)
            arguments = (journal, *arguments)
        run_probe(ROOT, "profiled", path, profiled.probe, profiled.function, *arguments)
        stats = pstats.Stats(str(path))
    return f"`{measure}`: {profiled.about}.\n\n{write_functions(stats)}"


def write_functions(stats: pstats.Stats) -> str:
    """Write the functions with the most time of their own, and their part of all."""
    times: dict[str, float] = defaultdict(float)
    # Its own summary is by the bare name, which many functions share.
    for (file, _, name), (_, _, own, _, _) in cast("Any", stats).stats.items():
        times[name_function(name, file)] += own
    whole = sum(times.values()) or 1.0
    found = sorted(((own, name) for name, own in times.items()), reverse=True)[:LINES]
    rows = [f"| {own / whole:.0%} | `{name}` |" for own, name in found]
    return "\n".join(["| own time | function |", "| --- | --- |", *rows]) + "\n"


def name_function(name: str, file: str) -> str:
    """Name a function by its module, whatever folder that is installed in."""
    if file == "~":
        return re.sub(r" at 0x[0-9a-f]+", "", name.strip("<>"))
    for folder in (str(ROOT), *sysconfig.get_paths().values(), *sys.path):
        if folder and file.startswith(f"{folder}/") and ".venv" not in file.removeprefix(folder):
            file = file.removeprefix(f"{folder}/")
            break
    file = file.removeprefix("site-packages/")
    return f"{file.removesuffix('.py').replace('/', '.').removesuffix('.__init__')}.{name}"

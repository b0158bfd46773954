"""Runs measurements: their subjects in turns, round by round; what fails becomes a reason, and the rest goes on."""

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from bench.measure import BEFORE, OURS, Measure, Round, Run, UnavailableError

REASON: Final = 160
"""Characters of a reason."""


@dataclass
class Results:
    """The figures of each subject of each measurement, round by round, and why a subject has none."""

    values: dict[str, dict[str, dict[str, list[float]]]] = field(default_factory=dict)
    failed: dict[str, dict[str, str]] = field(default_factory=dict)
    unavailable: dict[str, dict[str, str]] = field(default_factory=dict)

    def get(self, measure: str, subject: str, figure: str) -> list[float]:
        """Return a figure round by round; nothing when there is none."""
        return self.values.get(measure, {}).get(subject, {}).get(figure, [])

    def get_median(self, measure: str, subject: str, figure: str) -> float | None:
        """Return the median of a figure; None when there is none."""
        found = self.get(measure, subject, figure)
        return median(found) if found else None

    def find_reason(self, measure: str, subject: str) -> str | None:
        """Return why a subject has no figures."""
        for word, reasons in (("failed", self.failed), ("not built", self.unavailable)):
            if reason := reasons.get(measure, {}).get(subject):
                return f"{word}: {reason}"
        return None

    def has_failed(self) -> bool:
        """Return whether something failed, other than the program before, which may lack what is measured."""
        return any(set(subjects) - {BEFORE} for subjects in self.failed.values())


def run(measures: Iterable[Measure], programs: Mapping[str, Path], rounds: int, *, quick: bool, full: bool) -> Results:
    """Run measurements one after the other."""
    results = Results()
    for measure in measures:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            run_measure(measure, Run(programs, Path(folder), quick, full), rounds, results)
        _say(f"{measure.name}: {time.monotonic() - began:.0f} s")
    return results


def run_measure(measure: Measure, run: Run, rounds: int, results: Results) -> None:
    """Run one measurement; a subject that fails loses its figures, and the others go on."""
    values = results.values.setdefault(measure.name, {})
    with contextlib.ExitStack() as stack:
        opened: dict[str, Round] = {}
        try:
            subjects = measure.list_subjects(run)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is shown, and the rest goes on
            _note(results, measure.name, OURS, error)
            return
        for subject, opening in subjects.items():
            try:
                opened[subject] = stack.enter_context(opening())
                # In this order in the page, whichever is measured first.
                values[subject] = {}
            except Exception as error:  # noqa: BLE001 - as above
                _note(results, measure.name, subject, error)
        warm_up = 0 if measure.once or run.quick or not measure.warm_up else 1
        for number in range(warm_up + (1 if measure.once else rounds)):
            for subject in _rotate(list(opened), number):
                try:
                    figures = opened[subject]()
                except Exception as error:  # noqa: BLE001 - as above
                    _note(results, measure.name, subject, error)
                    del opened[subject]
                    values.pop(subject, None)
                    continue
                if number >= warm_up:
                    for figure, value in figures.items():
                        values[subject].setdefault(figure, []).append(value)


def _rotate(subjects: list[str], number: int) -> list[str]:
    """Begin each round with another subject, so that none always comes after the same one."""
    start = number % max(1, len(subjects))
    return subjects[start:] + subjects[:start]


def _note(results: Results, measure: str, subject: str, error: Exception) -> None:
    reason = _shorten(" ".join(f"{error}".split()) or type(error).__name__)
    kind = results.unavailable if isinstance(error, UnavailableError) else results.failed
    kind.setdefault(measure, {})[subject] = reason
    _say(f"{measure}, {subject}: {reason}")


def _shorten(text: str) -> str:
    """Shorten a reason to a cell: its beginning says what, and its end, which may be a log's, says why."""
    return text if len(text) <= REASON else f"{text[: REASON // 2]} … {text[-REASON // 2 :]}"


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")

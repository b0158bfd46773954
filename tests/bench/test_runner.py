import contextlib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from bench.__main__ import read_arguments
from bench.measure import BEFORE, OURS, Measure, Opening, Round, Run, UnavailableError
from bench.runner import Results, run

PROGRAMS = {OURS: Path()}


class Recorder:
    """A measurement that notes the order of what it does."""

    def __init__(self, **faults: Exception) -> None:
        self.done: list[str] = []
        self._faults = faults

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[Round]:
        if f"open_{name}" in self._faults:
            raise self._faults[f"open_{name}"]
        rounds = 0

        def measure() -> dict[str, float]:
            nonlocal rounds
            rounds += 1
            self.done.append(name)
            if name in self._faults and rounds > 1:
                raise self._faults[name]
            return {"µs": float(rounds)}

        yield measure
        self.done.append(f"close {name}")

    def list_subjects(self, _: Run) -> Mapping[str, Opening]:
        return {name: partial(self.open, name) for name in (OURS, "peer")}


def measure(recorder: Recorder, rounds: int = 2, *, quick: bool = False, **options: bool) -> Results:
    return run([Measure("m", recorder.list_subjects, **options)], PROGRAMS, rounds, quick=quick, full=False)


def test_subjects_are_measured_in_turns_and_the_first_round_warms_up() -> None:
    recorder = Recorder()
    results = measure(recorder)
    # Each round begins with another.
    assert recorder.done == [OURS, "peer", "peer", OURS, OURS, "peer", "close peer", f"close {OURS}"]
    assert results.values == {"m": {OURS: {"µs": [2.0, 3.0]}, "peer": {"µs": [2.0, 3.0]}}}
    assert not results.has_failed()


@pytest.mark.parametrize("options", [{"quick": True}, {"warm_up": False}])
def test_a_quick_run_or_a_measurement_that_needs_none_has_no_warm_up(options: dict[str, bool]) -> None:
    assert measure(Recorder(), **options).get("m", OURS, "µs") == [1.0, 2.0]


def test_a_measurement_of_one_round_has_one() -> None:
    assert measure(Recorder(), once=True).get("m", OURS, "µs") == [1.0]


def test_a_subject_that_fails_loses_its_figures_and_the_rest_goes_on() -> None:
    recorder = Recorder(peer=AssertionError("9 rows; expected 10"))
    results = measure(recorder)
    assert "peer" not in results.values["m"]
    assert results.get("m", OURS, "µs") == [2.0, 3.0]
    assert results.find_reason("m", "peer") == "failed: 9 rows; expected 10"
    assert results.has_failed()


def test_a_subject_that_does_not_start_is_a_reason() -> None:
    results = measure(Recorder(open_ours=RuntimeError("nothing serves\nport 1")))
    assert results.find_reason("m", OURS) == "failed: nothing serves port 1"
    assert results.get("m", "peer", "µs") == [2.0, 3.0]
    assert results.has_failed()


def test_a_long_reason_keeps_its_beginning_and_its_end() -> None:
    reason = measure(Recorder(open_ours=RuntimeError(f"no server: {'x' * 900} out of memory"))).find_reason("m", OURS)
    assert reason is not None
    assert len(reason) < 200
    assert reason.startswith("failed: no server: x")
    assert reason.endswith("out of memory")


def test_a_measurement_that_lists_no_subjects_is_a_failure_and_the_next_one_runs() -> None:
    def fail(_: Run) -> Mapping[str, Opening]:
        message = "no room"
        raise OSError(message)

    results = run(
        [Measure("bad", fail), Measure("good", Recorder().list_subjects)], PROGRAMS, 1, quick=True, full=False
    )
    assert results.find_reason("bad", OURS) == "failed: no room"
    assert results.get("good", OURS, "µs") == [1.0]


def test_a_peer_that_cannot_be_built_is_no_failure() -> None:
    results = measure(Recorder(open_peer=UnavailableError("no Go")))
    assert results.find_reason("m", "peer") == "not built: no Go"
    assert not results.has_failed()


def test_the_program_before_may_lack_what_is_measured() -> None:
    assert not Results(failed={"m": {BEFORE: "no such module"}}).has_failed()
    assert Results(failed={"m": {BEFORE: "no such module", "peer": "gone"}}).has_failed()


def test_a_measurement_that_does_not_exist_is_rejected_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bench", "--only", "nothing"])
    with pytest.raises(SystemExit):
        read_arguments()
    assert "invalid choice: 'nothing'" in capsys.readouterr().err

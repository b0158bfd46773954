import os
from collections.abc import Callable, Iterator

import pytest

from webapp.attempts import FORGET_SECONDS, FREE, Attempts, find_wait, share_attempts


@pytest.fixture
def make() -> Iterator[Callable[..., Attempts]]:
    made: list[Attempts] = []

    def make(*arguments: Callable[[], float]) -> Attempts:
        made.append(Attempts(*arguments))
        return made[-1]

    yield make
    for each in made:
        each.close()
        each.close()


def test_the_waits_double_up_to_a_minute() -> None:
    assert [find_wait(failures) for failures in range(14)] == [0] * 5 + [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_attempts_at_the_same_time_are_as_many_as_those_in_turn(make: Callable[..., Attempts]) -> None:
    attempts = make(lambda: 1000.0)
    assert [attempts.begin("ann") for _ in range(7)] == [0, 0, 0, 0, 0, 1, 1]
    assert attempts.begin("bob") == 0
    attempts.succeed("ann")
    assert attempts.begin("ann") == 0


def test_failures_are_forgotten_after_an_hour(make: Callable[..., Attempts]) -> None:
    now = 0.0
    attempts = make(lambda: now)
    for _ in range(FREE):
        attempts.begin("ann")
    assert attempts.begin("ann") == 1
    now = FORGET_SECONDS + 1
    assert [attempts.begin("ann") for _ in range(6)] == [0, 0, 0, 0, 0, 1]


def test_a_full_table_forgets_those_who_wait_least(make: Callable[..., Attempts]) -> None:
    attempts = make(lambda: 1000.0)
    for _ in range(FREE):
        attempts.begin("ann")
    for number in range(20_000):
        attempts.begin(f"other {number}")
    assert attempts.begin("ann") == 1


def test_processes_that_are_forked_later_share_the_table(make: Callable[..., Attempts]) -> None:
    attempts = make()
    attempts.share()
    for _ in range(FREE):
        pid = os.fork()
        if pid == 0:
            os._exit(int(attempts.begin("ann") > 0))
        assert os.waitpid(pid, 0)[1] == 0
    assert attempts.begin("ann") == pytest.approx(1, abs=0.9)


def test_a_process_that_holds_the_lock_does_not_stop_the_others(make: Callable[..., Attempts]) -> None:
    attempts = make(lambda: 1000.0)
    attempts.share()
    holding, held = os.pipe()
    ending, end = os.pipe()
    pid = os.fork()
    if pid == 0:
        with attempts._locked():  # noqa: SLF001 - as if it were suspended there
            os.write(held, b"x")
            os.read(ending, 1)
        os._exit(0)
    assert os.read(holding, 1) == b"x"
    assert attempts.begin("ann") == 0
    os.write(end, b"x")
    assert os.waitpid(pid, 0)[1] == 0
    for descriptor in (holding, held, ending, end):
        os.close(descriptor)


def test_a_reload_that_reads_the_configuration_again_keeps_the_table() -> None:
    table = share_attempts()
    begin = [table.begin("ann") for _ in range(FREE + 1)]
    assert begin[-1] > 0
    assert share_attempts().begin("ann") > 0
    table.close()
    share_attempts.cache_clear()

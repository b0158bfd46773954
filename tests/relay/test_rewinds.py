"""When a host is asked to go back, and when not."""

import itertools

from relay.rewinds import ASK_SECONDS_MAX, Rewinds


def test_a_host_is_asked_once_for_all_that_was_in_the_stream_when_it_was_asked() -> None:
    rewinds = Rewinds()
    assert rewinds.is_due("a", 7, seq=10, pending=5, now=0.0)
    assert not rewinds.is_due("a", 7, seq=15, pending=0, now=100.0)
    assert rewinds.is_due("a", 7, seq=16, pending=0, now=100.0)


def test_a_host_is_asked_once_a_second_and_others_have_their_own() -> None:
    rewinds = Rewinds()
    assert rewinds.is_due("a", 7, seq=1, pending=0, now=0.0)
    assert not rewinds.is_due("a", 8, seq=2, pending=0, now=0.9)
    assert rewinds.is_due("b", 7, seq=3, pending=0, now=0.9)
    assert rewinds.is_due("a", 8, seq=4, pending=0, now=1.0)


def test_a_host_whose_mark_does_not_move_is_asked_less_and_less_often_but_never_given_up() -> None:
    rewinds = Rewinds()
    asked = [second for second in range(400) if rewinds.is_due("a", 7, seq=second, pending=0, now=float(second))]
    pauses = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert pauses[:7] == [1, 2, 4, 8, 16, 32, ASK_SECONDS_MAX]
    assert set(pauses[7:]) == {ASK_SECONDS_MAX}
    # It has moved.
    assert rewinds.is_due("a", 8, seq=1000, pending=0, now=1000.0)
    assert rewinds.is_due("a", 8, seq=1001, pending=0, now=1001.0)

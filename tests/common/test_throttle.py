from common.throttle import Throttle


def test_each_key_has_one_line_per_period_and_the_next_line_has_the_count() -> None:
    now = [100.0]
    throttle = Throttle(1.0, lambda: now[0])
    assert [throttle.take("a"), throttle.take("a"), throttle.take("a"), throttle.take("b")] == [1, 0, 0, 1]
    now[0] += 1.5
    assert [throttle.take("a"), throttle.take("a")] == [3, 0]

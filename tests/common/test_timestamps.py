import pytest

from common.timestamps import are_canonical, format_timestamp, parse_number, read_all_micros, read_micros


@pytest.mark.parametrize(
    ("text", "unit", "time"),
    [
        ("1769851800", None, "2026-01-31T09:30:00.000000Z"),
        ("1769851800.1234567", None, "2026-01-31T09:30:00.123456Z"),
        ("1769851800123", None, "2026-01-31T09:30:00.123000Z"),
        ("1769851800123.5", None, "2026-01-31T09:30:00.123500Z"),
        ("1769851800123456", None, "2026-01-31T09:30:00.123456Z"),
        ("1769851800123456789", None, "2026-01-31T09:30:00.123456Z"),
        ("1769851800", "ms", "1970-01-21T11:37:31.800000Z"),
        ("0", None, "1970-01-01T00:00:00.000000Z"),
    ],
)
def test_a_time_in_numbers_is_read_in_the_unit_that_its_digits_tell(text: str, unit: str | None, time: str) -> None:
    number = parse_number(text, unit)
    assert number is not None
    assert format_timestamp(number) == time


@pytest.mark.parametrize("text", ["", "-1", "1e9", "1.", ".5", "NaN", "1 769", "2026-01-31", "9" * 21])
def test_another_text_is_no_time_in_numbers(text: str) -> None:
    assert parse_number(text) is None


def test_a_time_that_no_calendar_has_is_an_overflow() -> None:
    with pytest.raises(OverflowError):
        parse_number("9" * 11 + "0", "s")


@pytest.mark.parametrize("bad", ["2026-01-31T09:30:00Z", "2026-01-31T09:30:00.000000Z 2026-01-31T09:30:00.000000Z", ""])
def test_several_are_canonical_only_if_each_is(bad: str) -> None:
    good = "2026-01-31T09:30:00.000000Z"
    assert are_canonical([good, good])
    assert not are_canonical([good, bad])
    with pytest.raises(ValueError, match="month"):
        are_canonical([good, "2026-13-31T09:30:00.000000Z"])


@pytest.mark.parametrize(
    "times",
    [
        ["2026-01-31T09:30:00.000000Z"],
        ["2026-01-31T09:30:00.000001Z", "2026-01-31T09:30:00.999999Z", "2026-01-31T09:30:00.000000Z"],
        ["2026-01-31T09:30:00.000001Z", "2026-01-31T09:30:01.000001Z", "2026-01-31T09:30:00.000000Z"],
        ["0001-01-01T00:00:00.000007Z"],
    ],
)
def test_times_read_together_are_those_read_one_by_one(times: list[str]) -> None:
    assert read_all_micros(times) == [read_micros(each) for each in times]

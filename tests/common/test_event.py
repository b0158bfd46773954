import pytest

from common.event import Trade, TradeColumns, read_field
from common.timestamps import format_timestamp, parse_timestamp
from tests.conftest import BUY, SELL


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("2026-01-31T09:30:00Z", "2026-01-31T09:30:00.000000Z"),
        ("2026-01-31t09:30:00.5z", "2026-01-31T09:30:00.500000Z"),
        ("2026-01-31 09:30:00.123456789+02:00", "2026-01-31T07:30:00.123456Z"),
        ("2026-01-31T09:30:00+0000", "2026-01-31T09:30:00.000000Z"),
        ("2026-01-31T09:30:00.25-0530", "2026-01-31T15:00:00.250000Z"),
        ("1970-01-01T00:00:00-00:00", "1970-01-01T00:00:00.000000Z"),
        ("2026-01-31T23:30:00-05:30", "2026-02-01T05:00:00.000000Z"),
    ],
)
def test_a_timestamp_is_written_in_utc_with_microseconds(given: str, canonical: str) -> None:
    assert format_timestamp(parse_timestamp(given)) == canonical


@pytest.mark.parametrize(
    "given",
    [
        "2026-01-31T09:30:00",
        "2026-01-31",
        "1700000000",
        "2026-13-31T09:30:00Z",
        "2026-01-31T25:30:00Z",
        "2026-01-31T09:30Z",
        "2026-01-31T09:30:00Z\n",
        "\uff12026-01-31T09:30:00Z",
        "now",
        "",
    ],
)
def test_text_that_is_not_rfc_3339_with_an_offset_is_rejected(given: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_timestamp(given)


@pytest.mark.parametrize("trades", [[], [BUY], [BUY, SELL, BUY]])
def test_trades_are_the_same_by_columns(trades: list[Trade]) -> None:
    columns = TradeColumns.split(trades)
    assert len(columns) == len(trades)
    assert list(columns) == columns[:] == trades
    assert list(read_field(columns, "symbol")) == list(read_field(trades, "symbol"))

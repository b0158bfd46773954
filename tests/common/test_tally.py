from decimal import Decimal

from common.tally import Tally


def test_a_sum_of_the_widest_decimals_keeps_every_digit() -> None:
    tally = Tally()
    for _ in range(3):
        tally.add(["999999999999999999.999999999999"], ["999999999999999999.999999999999"])
    assert tally.add(["0.000000000001"], ["0.000000000001"]) == [Decimal("1e-24")]
    assert tally.quantity == Decimal("2999999999999999999.999999999998")
    exact = 3 * (10**30 - 1) ** 2 + 1
    assert f"{tally.notional:f}" == f"{str(exact)[:-24]}.{str(exact)[-24:]}"
    assert tally.trades == 4


def test_merged_tallies_are_exact_and_keep_the_earlier_created_at() -> None:
    widest, smallest = Tally(created_at="2026-01-31T10:00:00.000000Z"), Tally(created_at="2026-01-31T09:00:00.000000Z")
    widest.add(["999999999999999999"], ["999999999999999999"])
    smallest.add(["0.000000000001"], ["0.000000000001"])
    total = Tally()
    for tally in (widest, smallest):
        total.merge(tally)
    assert total.trades == 2
    assert f"{total.quantity:f}" == "999999999999999999.000000000001"
    assert f"{total.notional:f}" == "999999999999999998000000000000000001.000000000000000000000001"
    assert total.created_at == "2026-01-31T09:00:00.000000Z"
    alone = Tally()
    alone.merge(Tally())
    assert alone == Tally()

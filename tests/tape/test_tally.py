from decimal import Decimal

from tape.tally import Tally


def test_a_sum_of_the_widest_decimals_keeps_every_digit() -> None:
    tally = Tally()
    for _ in range(3):
        tally.add(["999999999999999999.999999999999"], ["999999999999999999.999999999999"])
    assert tally.add(["0.000000000001"], ["0.000000000001"]) == [Decimal("1e-24")]
    assert tally.quantity == Decimal("2999999999999999999.999999999998")
    exact = 3 * (10**30 - 1) ** 2 + 1
    assert f"{tally.notional:f}" == f"{str(exact)[:-24]}.{str(exact)[-24:]}"
    assert tally.trades == 4

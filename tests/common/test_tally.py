from decimal import Decimal

from common.tally import COUNT_MAX, EXACT, Tally

WIDEST = f"{'9' * 20}.{'9' * 18}"
SMALLEST = f"0.{'0' * 17}1"


def test_a_sum_of_the_widest_decimals_keeps_every_digit() -> None:
    tally = Tally()
    for _ in range(3):
        tally.add([WIDEST], [WIDEST])
    tally.add([SMALLEST], [SMALLEST])
    assert f"{tally.quantity:f}" == "299999999999999999999.999999999999999998"
    exact = 3 * (10**38 - 1) ** 2 + 1
    assert f"{tally.notional:f}" == f"{str(exact)[:-36]}.{str(exact)[-36:]}"
    assert tally.trades == 4


def test_the_sums_of_as_many_trades_as_a_journal_holds_keep_every_digit() -> None:
    quantity, notional = COUNT_MAX * (10**38 - 1), COUNT_MAX * (10**38 - 1) ** 2
    tally = Tally(COUNT_MAX - 1, Decimal(f"{quantity}e-18"), Decimal(f"{notional}e-36"))
    tally.add([SMALLEST], [SMALLEST])
    total = Tally()
    total.merge(tally)
    total.merge(Tally(1, Decimal(SMALLEST), Decimal("1e-36")))
    assert total.quantity.scaleb(18, EXACT) == quantity + 2
    assert total.notional.scaleb(36, EXACT) == notional + 2


def test_merged_tallies_are_exact_and_keep_the_earlier_created_at() -> None:
    widest, smallest = Tally(created_at="2026-01-31T10:00:00.000000Z"), Tally(created_at="2026-01-31T09:00:00.000000Z")
    widest.add(["9" * 20], ["9" * 20])
    smallest.add([SMALLEST], [SMALLEST])
    total = Tally()
    for tally in (widest, smallest):
        total.merge(tally)
    assert total.trades == 2
    assert f"{total.quantity:f}" == f"{'9' * 20}.{'0' * 17}1"
    assert f"{total.notional:f}" == f"{'9' * 19}8{'0' * 19}1.{'0' * 35}1"
    assert total.created_at == "2026-01-31T09:00:00.000000Z"
    alone = Tally()
    alone.merge(Tally())
    assert alone == Tally()

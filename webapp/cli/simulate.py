"""``simulate``: sends the trades of a random walk to a running stack."""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal

import click
from flask.cli import with_appcontext

from webapp.cli.client import Entry, choose_url, send_all, url_option

_STEP = 0.0008
_CENT = Decimal("0.01")


def walk(symbols: Sequence[str], seed: int | None, count: int) -> Iterator[Mapping[str, str]]:
    """Yield ``count`` trades with prices of a random walk; the same seed gives the same trades."""
    rng = random.Random(seed)  # noqa: S311 - a demo needs no secret randomness
    prices = {symbol: rng.uniform(20, 40_000) for symbol in symbols}
    for _ in range(count):
        symbol = rng.choice(symbols)
        prices[symbol] *= 1 + rng.gauss(0, _STEP)
        yield {
            "symbol": symbol,
            "side": rng.choice(("BUY", "SELL")),
            "price": str(max(Decimal(prices[symbol]).quantize(_CENT), _CENT)),
            "qty": str(Decimal(rng.lognormvariate(0, 1)).quantize(Decimal("0.0001")) + Decimal("0.0001")),
        }


def pace_evenly(
    trades: Iterator[Mapping[str, str]],
    rate: float,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[Entry]:
    """Yield ``rate`` trades a second, each labelled with its number."""
    started = clock()
    for number, trade in enumerate(trades):
        pause(max(0.0, started + number / rate - clock()))
        yield Entry(f"trade {number + 1}", trade)


@click.command()
@click.option("--rate", type=click.FloatRange(0.01, 100_000), default=10, show_default=True, help="Trades a second.")
@click.option("--symbols", default="BTCUSDT,ETHUSDT,SOLUSDT", show_default=True, help="Symbols, separated by commas.")
@click.option("--seed", type=int, help="A seed, for the same walk each time.")
@click.option("--count", type=click.IntRange(1), default=100, show_default=True, help="How many trades.")
@url_option
@with_appcontext
def simulate(rate: float, symbols: str, seed: int | None, count: int, url: str | None) -> None:
    """Post a random walk of trades."""
    names = symbols.replace(",", " ").split()
    if not names:
        message = f"{symbols!r}; expected symbols, separated by commas"
        raise click.BadParameter(message, param_hint="--symbols")
    send_all(choose_url(url), pace_evenly(walk(names, seed, count), rate), count, "simulate")

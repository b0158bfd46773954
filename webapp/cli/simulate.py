"""``simulate``: sends the trades of a random walk to a running stack."""

import math
import random
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import click
from flask.cli import with_appcontext

from common.decimals import DIGITS, PLACES
from common.display import show_text
from common.symbols import read_symbols
from webapp.cli.client import Client, Entry, send_all
from webapp.cli.stack_options import choose_token, choose_url, token_file_option, url_option

STARTS: Final = {
    "BTC": (60_000, 100_000),
    "XBT": (60_000, 100_000),
    "ETH": (2_000, 5_000),
    "SOL": (100, 250),
    "DOGE": (0.1, 0.4),
    "XRP": (1, 4),
}
"""The price of a symbol that has not traded, by its base currency, in dollars or something like them: from, to."""

OTHER_START: Final = (10, 200)

_BASE = re.compile(rf"({'|'.join(STARTS)})([-_./]?(USD|EUR).*)?")
_STEP = 0.0008
_NOTIONAL_MEDIAN = 500
_NOTIONAL_SIGMA = 1.2
_PRICE_DIGITS = 5
_PRICE_PLACES = range(2, PLACES + 1)
_QTY_PLACES = range(9)
_LARGEST = 10 ** (DIGITS - 1)


def walk(
    symbols: Sequence[str], seed: int | None, count: int, last_prices: Mapping[str, float] | None = None
) -> Iterator[Mapping[str, str]]:
    """Yield ``count`` trades with prices of a random walk; the same seed gives the same trades.

    The walk of a symbol starts from its last price, or from a plausible one.
    """
    rng = random.Random(seed)  # noqa: S311 - a demo needs no secret randomness
    # Drawn for every symbol, so that the steps are the same from any last price.
    prices = {symbol: rng.uniform(*_find_start(symbol)) for symbol in symbols} | dict(last_prices or {})
    for _ in range(count):
        symbol = rng.choice(symbols)
        prices[symbol] *= 1 + rng.gauss(0, _STEP)
        price = prices[symbol]
        magnitude = math.floor(math.log10(price))
        notional = rng.lognormvariate(math.log(_NOTIONAL_MEDIAN), _NOTIONAL_SIGMA)
        yield {
            "symbol": symbol,
            "side": rng.choice(("BUY", "SELL")),
            "price": _write(price, _PRICE_DIGITS - 1 - magnitude, _PRICE_PLACES),
            "qty": _write(notional / price, 1 + magnitude, _QTY_PLACES),
        }


def _find_start(symbol: str) -> tuple[float, float]:
    base = _BASE.fullmatch(symbol.upper())
    return STARTS[base[1]] if base else OTHER_START


def _write(number: float, places: int, allowed: range) -> str:
    """Write a number with as many decimal places as are allowed, never as 0 or with too many digits."""
    places = min(max(places, allowed[0]), allowed[-1])
    return f"{min(max(number, 10**-places), _LARGEST):.{places}f}"


def pace_evenly(
    trades: Iterator[Mapping[str, str]],
    rate: float,
    run: str,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[Entry]:
    """Yield ``rate`` trades a second, each labelled with its number, and with a key made of it and ``run``."""
    started = clock()
    for number, trade in enumerate(trades):
        pause(max(0.0, started + number / rate - clock()))
        yield Entry(f"trade {number + 1}", trade, f"{run}-{number + 1}")


def read_last_prices(client: Client, symbols: Sequence[str]) -> dict[str, float]:
    """Ask the stack for the last price of each symbol that has traded. Raises ClickException."""
    prices: dict[str, float] = {}
    for symbol in symbols:
        answer = client.get("/trades", symbol=symbol, limit="1")
        try:
            for trade in answer.json()["trades"]:
                prices[symbol] = float(trade["price"])
        except (ValueError, LookupError, TypeError) as error:
            message = f"{answer.url} answered something else than trades; is {client.url} the stack's address?"
            raise click.ClickException(message) from error
    return prices


@click.command()
@click.option("--rate", type=click.FloatRange(0.01, 100_000), default=10, show_default=True, help="Trades a second.")
@click.option("--symbols", default="BTCUSDT,ETHUSDT,SOLUSDT", show_default=True, help="Symbols, separated by commas.")
@click.option("--seed", type=int, help="A seed, for the same walk each time from the same prices.")
@click.option("--count", type=click.IntRange(1), default=100, show_default=True, help="How many trades.")
@url_option
@token_file_option
@with_appcontext
def simulate(  # noqa: PLR0913, PLR0917 - the options of the command
    rate: float, symbols: str, seed: int | None, count: int, url: str | None, token_file: Path | None
) -> None:
    """Post a random walk of trades, from each symbol's last price in the journal.

    A trade that got no answer is sent again with its key, so it counts once.
    """
    try:
        names = read_symbols(symbols)
    except ValueError:
        names = ()
    if not names:
        message = f"{show_text(symbols)}; expected symbols, separated by commas"
        raise click.BadParameter(message, param_hint="--symbols")
    with Client(choose_url(url), choose_token(token_file)) as client:
        trades = walk(names, seed, count, read_last_prices(client, names))
        send_all(client, pace_evenly(trades, rate, f"simulate-{secrets.token_hex(8)}"), count, "simulate")

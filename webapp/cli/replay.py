"""``replay``: sends the trades of a CSV file to a running stack."""

import csv
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import click
from flask.cli import with_appcontext

from common.csv_cells import unmark
from common.display import show_text
from common.event import REQUIRED_FIELDS, TRADE_FIELDS
from common.timestamps import parse_timestamp
from webapp.cli.client import Entry, choose_url, send_all, url_option


class Speed(click.ParamType[float | None]):
    """A factor of the original speed; None, for ``max``, is without pauses."""

    name = "N|max"

    def convert(
        self, value: str | float | None, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | None:
        """Read a speed, or fail with what was expected."""
        if value == "max":
            return None
        try:
            speed = float(value or 0)
        except ValueError:
            speed = 0
        if not 0 < speed < float("inf"):
            self.fail(f"{show_text(str(value))}; expected a number above 0, or max", param, ctx)
        return speed


def read_rows(path: Path, run: str = "") -> list[Entry]:
    """Read the trades of a CSV file, labelled by line, with keys made of the file's content, the line and ``run``.

    Raises ClickException when a column is missing, or the file is not a CSV in UTF-8.
    """
    digest = hashlib.sha256(path.read_bytes() + run.encode()).hexdigest()[:32]
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            missing = [name for name in REQUIRED_FIELDS if name not in (reader.fieldnames or ())]
            if missing:
                expected = ",".join(REQUIRED_FIELDS)
                message = f"{path}: no column {', '.join(missing)} in the first line; expected {expected}"
                raise click.ClickException(message)
            return [
                Entry(f"{path}:{reader.line_num}", _read_trade(row), f"{digest}-{reader.line_num}") for row in reader
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        message = f"{path} is not a CSV in UTF-8: {error}"
        raise click.ClickException(message) from error


def _read_trade(row: Mapping[str, str]) -> dict[str, str]:
    """Read a trade; a column that is not required is left out when it is missing or empty."""
    return {name: unmark(row[name]) for name in TRADE_FIELDS if name in REQUIRED_FIELDS or row.get(name)}


FORMATS: Final = {"csv": read_rows}
"""What reads the trades of a file, by its format."""


def pace(
    rows: list[Entry],
    speed: float | None,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[Entry]:
    """Yield each row at its time after the first, ``speed`` times as fast; one with a bad time without a pause."""
    started = clock()
    first: datetime | None = None
    for entry in rows:
        if speed is not None:
            ts = _read_ts(entry.trade["ts"]) or first
            first = first or ts
            if first and ts:
                pause(max(0.0, started + (ts - first).total_seconds() / speed - clock()))
        yield entry


def _read_ts(text: str) -> datetime | None:
    try:
        return parse_timestamp(text)
    except (ValueError, OverflowError):
        return None


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--format",
    "file_format",
    type=click.Choice(list(FORMATS)),
    default="csv",
    show_default=True,
    help="The file's format.",
)
@click.option("--speed", type=Speed(), default="max", show_default=True, help="How many times the original speed.")
@click.option("--run", default="", help="A name for this replay; with another name the same trades are new.")
@url_option
@with_appcontext
def replay(file: Path, file_format: str, speed: float | None, run: str, url: str | None) -> None:
    """Post the trades of FILE, a CSV (ts,symbol,side,price,qty, and any of source,ref,fee), in its order.

    An interrupted replay can be run again: trades that are still in the journal are not accepted twice.
    """
    rows = FORMATS[file_format](file, run)
    send_all(choose_url(url), pace(rows, speed), len(rows), file.name)

"""``replay``: sends the trades of a file to a running stack, each row once."""

import gc
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
from flask.cli import with_appcontext

from common.display import show_text
from common.event import TRADE_FIELDS
from common.timestamps import UNITS, parse_timestamp
from webapp.cli.client import Client
from webapp.cli.row_sender import BATCH, Import, ReadyRow, RowSender
from webapp.cli.stack_options import choose_token, choose_url, token_file_option, url_option
from webapp.cli.text_file import DELIMITERS, TextFile
from webapp.cli.trade_formats import AUTO, ID, NAMES, Wanted
from webapp.cli.trade_rows import gather, read_rows

_SWITCH_SECONDS: Final = 0.0002


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


class Columns(click.ParamType[Mapping[str, str]]):
    """Names of columns by field, like ``price=Fill_Price,qty=Size``."""

    name = "FIELD=COLUMN,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Mapping[str, str]:  # noqa: ANN401 - as in click
        """Read the names, or fail with what was expected."""
        columns: dict[str, str] = {}
        known = (*TRADE_FIELDS, ID)
        for part in str(value).split(",") if isinstance(value, str) and value else ():
            name, equals, column = part.partition("=")
            if name.strip() not in known or not equals or not column.strip():
                self.fail(f"{show_text(part)}; expected FIELD=COLUMN with a field of {', '.join(known)}", param, ctx)
            columns[name.strip()] = column
        return columns


class Zone(click.ParamType[ZoneInfo]):
    """A time zone by its name."""

    name = "ZONE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ZoneInfo:  # noqa: ANN401 - as in click
        """Find a zone, or fail with what was expected."""
        try:
            return ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.fail(f"{show_text(str(value))}; expected a zone like UTC or Europe/Berlin", param, ctx)


def pace(
    rows: Iterable[ReadyRow],
    speed: float,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[ReadyRow]:
    """Yield each row at its time after the first, ``speed`` times as fast."""
    started = clock()
    first: datetime | None = None
    for row in rows:
        ts = parse_timestamp(row.trade.ts)
        first = first or ts
        pause(max(0.0, started + (ts - first).total_seconds() / speed - clock()))
        yield row


@click.command()
@click.argument("file")
@click.option(
    "--format", "name", type=click.Choice([AUTO, *NAMES]), default=AUTO, show_default=True, help="Whose columns."
)
@click.option("--symbol", default="", help="The symbol of all trades, for files that do not name it.")
@click.option("--source", default="", help="The source of all trades.")
@click.option("--map", "columns", type=Columns(), default="", help="Columns by field: price=Fill_Price,qty=Size.")
@click.option("--time-unit", type=click.Choice(list(UNITS)), help="Of times in numbers; by default, by their digits.")
@click.option("--time-zone", type=Zone(), help="Of times without an offset.")
@click.option("--delimiter", help="Between cells: one character, or tab; by default the most frequent in line 1.")
@click.option("--encoding", help="Of the text; by default UTF-8, or UTF-16 with its mark.")
@click.option(
    "--rejects", type=click.Path(dir_okay=False, path_type=Path), help="Write rejected rows here, with reasons."
)
@click.option("--dry-run", is_flag=True, help="Only read and report; nothing is sent.")
@click.option("--speed", type=Speed(), default="max", show_default=True, help="How many times the original speed.")
@click.option("--run", default="", help="A name for this replay; with another name the same rows are other trades.")
@url_option
@token_file_option
@with_appcontext
def replay(  # noqa: PLR0913, PLR0917 - the options of the command
    file: str,
    name: str,
    symbol: str,
    source: str,
    columns: Mapping[str, str],
    time_unit: str | None,
    time_zone: ZoneInfo | None,
    delimiter: str | None,
    encoding: str | None,
    rejects: Path | None,
    dry_run: bool,  # noqa: FBT001 - as in click
    speed: float | None,
    run: str,
    url: str | None,
    token_file: Path | None,
) -> None:
    """Post the trades of FILE, in its order; - is standard input, and gzip is recognised.

    Each row is accepted once, also when the replay is interrupted and run again, and when the file was repaired, has
    grown, or was saved again in another form.
    """
    if delimiter is not None and delimiter.lower() != "tab" and len(delimiter) != 1:
        message = f"{show_text(delimiter)}; expected one character, like {DELIMITERS[1]}, or tab"
        raise click.BadParameter(message, param_hint="--delimiter")
    opened = TextFile(file, encoding, "\t" if delimiter and delimiter.lower() == "tab" else delimiter)
    outcome = Import()
    outcome.open_rejects(rejects)
    # What is loaded by now stays: a collection then looks only at the rows.
    gc.freeze()
    # Else the thread that sends waits 5 ms for the one that reads, each time that it has waited for the network.
    sys.setswitchinterval(_SWITCH_SECONDS)
    # A replay with pauses waits for no row that comes later; its input may be a pipe.
    together = BATCH if speed is None or dry_run else 1
    rows = read_rows(opened, Wanted(name, symbol, source, columns, time_unit, time_zone), run, outcome, together)
    try:
        if dry_run:
            for batch in gather(rows, BATCH):
                outcome.count(batch, 0)
        else:
            paced = rows if speed is None else pace(rows, speed)
            _send(opened, paced, together, outcome, Client(choose_url(url), choose_token(token_file)))
    except (click.ClickException, KeyboardInterrupt):
        if outcome.accepted + outcome.there + outcome.rejected:
            click.echo("\nInterrupted. So far:")
            outcome.report(opened.name, sent=not dry_run)
            click.echo("Run it again to go on: what is there counts once.")
        raise
    finally:
        opened.close()
    outcome.report(opened.name, sent=not dry_run)
    if outcome.rejected:
        raise SystemExit(1)


def _send(opened: TextFile, rows: Iterator[ReadyRow], size: int, outcome: Import, connection: Client) -> None:
    began = time.monotonic()
    done = 0

    def show(_: object) -> str:
        return f"{done:,} rows, {done / max(time.monotonic() - began, 0.001):,.0f}/s"

    with connection as client, click.progressbar(length=opened.size, label=opened.name, item_show_func=show) as bar:
        sender = RowSender(client, outcome, opened.name)
        try:
            for batch in gather(rows, size):
                sender.send(batch)
                done += len(batch)
                bar.update(min(opened.position(), opened.size) - bar.pos, batch)
            sender.wait()
        finally:
            sender.close()

"""``audit``: compares the totals of the journal with those of the sidecar, and of Prometheus."""

import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from urllib.parse import urljoin

import click
from flask import current_app
from flask.cli import with_appcontext
from prometheus_client.parser import text_string_to_metric_families

from common.errors import JournalError
from common.journal.batches import CHUNK, read_batches
from common.journal.checkpoint import read_pruned
from common.journal.store import Journal
from common.settings import Settings
from common.tally import Tally
from webapp.cli.client import get
from webapp.cli.stack_options import choose_sidecar_token, choose_sidecar_url, token_file_option
from webapp.cli.tables import print_table

WATCH_SECONDS = 2.0
_OVERFLOW = "other"

Totals = dict[tuple[str, str], Tally]


def total_journal(journal: Journal, last_seq: int) -> Totals:
    """Total the journal up to ``last_seq``, pruned trades included. Raises JournalError."""
    totals: Totals = {}
    pruned = read_pruned(journal)
    for symbol, pruned_symbol in pruned.symbols.items():
        for side, tally in pruned_symbol.tallies.items():
            totals[symbol, side] = tally
    after = pruned.last_seq
    while batches := read_batches(journal, after, CHUNK, last_seq):
        for batch in batches:
            totals.setdefault((batch.symbol, batch.side), Tally()).add(batch.prices, batch.quantities)
        after = max(batch.last_seq for batch in batches)
    return totals


def fold(totals: Totals, known: set[str]) -> Totals:
    """Merge the symbols that the sidecar does not show into the overflow symbol."""
    merged: Totals = {}
    for (symbol, side), tally in totals.items():
        name = symbol if symbol in known else _OVERFLOW
        merged.setdefault((name, side), Tally()).merge(tally)
    return merged


def read_sidecar(url: str, token: str | None = None) -> tuple[int, Totals]:
    """Read the sidecar's seq and totals from one scrape, in which they match. Raises ClickException."""
    totals: Totals = {}
    seq = 0
    for family in text_string_to_metric_families(get(urljoin(url, "/metrics"), token).text):
        if family.name == "sidecar_last_seq":
            seq = int(family.samples[0].value)
        if family.name in _PARTS:
            for sample in family.samples:
                _put(totals, family.name, sample.labels, sample.value)
    return seq, totals


def read_prometheus(url: str) -> Totals:
    """Read the newest totals in Prometheus. Raises ClickException."""
    totals: Totals = {}
    for name in _PARTS:
        query = f"sum by (symbol, side) ({name}_total)"
        answer = get(urljoin(url, "/api/v1/query"), query=query).json()
        for sample in answer["data"]["result"]:
            _put(totals, name, sample["metric"], float(sample["value"][1]))
    return totals


_PARTS = {"trading_trades": "trades", "trading_quantity": "quantity", "trading_notional": "notional"}


def _put(totals: Totals, name: str, labels: Mapping[str, str], value: float) -> None:
    tally = totals.setdefault((labels["symbol"], labels["side"]), Tally())
    if name == "trading_trades":
        tally.trades = int(value)
    else:
        setattr(tally, _PARTS[name], Decimal(repr(value)))


def differs(first: Tally, second: Tally) -> bool:
    """Return whether two tallies differ at the precision of the metrics, which are floats."""
    return (
        first.trades != second.trades
        or float(first.quantity) != float(second.quantity)
        or float(first.notional) != float(second.notional)
    )


def print_balance(columns: Mapping[str, Totals]) -> bool:
    """Print the totals side by side, and return whether all agree."""
    keys = sorted({key for totals in columns.values() for key, tally in totals.items() if tally.trades})
    rows = [("symbol", "side", *(f"{name} {part}" for name in columns for part in ("trades", "notional")), "")]
    agree = True
    for key in keys:
        tallies = [totals.get(key, Tally()) for totals in columns.values()]
        wrong = any(differs(tallies[0], other) for other in tallies[1:])
        agree = agree and not wrong
        figures = [text for tally in tallies for text in (str(tally.trades), f"{float(tally.notional):.6f}")]
        rows.append((*key, *figures, "DIFFERS" if wrong else "ok"))
    print_table(rows)
    return agree


def audit_once(settings: Settings, sidecar_url: str, token: str | None, prometheus_url: str | None) -> bool:
    """Print one comparison, and return whether all totals agree. Raises ClickException when a part does not answer."""
    try:
        with Journal(settings.journal_path) as journal:
            seq, counted = read_sidecar(sidecar_url, token)
            known = {symbol for symbol, _ in counted}
            with journal.read_transaction():
                journalled = fold(total_journal(journal, seq), known)
            in_flight = journal.count_after(seq)
    except JournalError as error:
        raise click.ClickException(error.detail) from error
    columns = {"journal": journalled, "sidecar": counted}
    if prometheus_url:
        columns["prometheus"] = read_prometheus(prometheus_url)
    agree = print_balance(columns)
    total, done = (sum(tally.trades for tally in totals.values()) for totals in (journalled, counted))
    verdict = "the balance closes" if agree else "THE BALANCE DOES NOT CLOSE"
    click.echo(f"accepted {total + in_flight} = counted {done} + in flight {in_flight}: {verdict}")
    return agree


@click.command()
@click.option("--sidecar", help="The sidecar's address; by default the one in the settings.")
@click.option(
    "--prometheus", help="Prometheus's address, to compare its newest samples too; they may be one scrape old."
)
@token_file_option
@click.option("--watch", is_flag=True, help="Repeat the audit until Ctrl+C.")
@with_appcontext
def audit(
    *,
    sidecar: str | None,
    prometheus: str | None,
    token_file: Path | None,
    watch: bool,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Compare accepted with counted, by symbol and side; exits with 1 when they differ.

    The token is the sidecar's.
    """
    settings: Settings = current_app.config["SETTINGS"]
    url, token = choose_sidecar_url(sidecar), choose_sidecar_token(token_file)
    agree = audit_once(settings, url, token, prometheus)
    while watch:
        pause(WATCH_SECONDS)
        agree = audit_once(settings, url, token, prometheus) and agree
    if not agree:
        raise SystemExit(1)

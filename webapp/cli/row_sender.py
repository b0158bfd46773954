"""Sends rows in batches, each with its key, and totals what is in the journal afterwards."""

import csv
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final, NamedTuple, TextIO

import click

from common.event import Trade
from common.tally import Tally
from webapp.cli.client import SHOWN, Answer, Client, print_totals, read_detail

BATCH: Final = 1000
"""Rows in one request."""


class FileTrade(Trade, frozen=True, omit_defaults=True):
    """A trade of a file; its JSON leaves out what it has no value for."""


class ReadyRow(NamedTuple):
    """A row that was read: where it is, its trade, the JSON of it with its key, and its cells."""

    line: int
    trade: FileTrade
    text: bytes
    cells: Sequence[str]


@dataclass
class Import:
    """The outcome of a file's rows."""

    accepted: int = 0
    there: int = 0
    rejected: int = 0
    totals: dict[tuple[str, str], Tally] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    rejects: TextIO | None = None

    def open_rejects(self, path: Path | None) -> None:
        """Write rejected rows to a file. Raises ClickException."""
        if path is not None:
            try:
                self.rejects = path.open("w", newline="", encoding="utf-8")
            except OSError as error:
                message = f"--rejects {path}: {error.strerror}"
                raise click.ClickException(message) from error

    def reject(self, line: int, reason: str, cells: Sequence[str]) -> None:
        """Count a rejected row; the first SHOWN are shown."""
        self.rejected += 1
        if len(self.messages) < SHOWN:
            self.messages.append(f"line {line}: {reason}")
        if self.rejects is not None:
            csv.writer(self.rejects).writerow([line, reason, *cells])

    def count(self, rows: Sequence[ReadyRow], there: int) -> None:
        """Count rows that are in the journal, ``there`` of them since before."""
        self.accepted += len(rows) - there
        self.there += there
        groups: dict[tuple[str, str], list[FileTrade]] = defaultdict(list)
        for _, trade, _, _ in rows:
            groups[trade.symbol, trade.side].append(trade)
        for labels, trades in groups.items():
            prices, quantities = [trade.price for trade in trades], [trade.qty for trade in trades]
            self.totals.setdefault(labels, Tally()).add(prices, quantities)

    def report(self, name: str, *, sent: bool) -> None:
        """Print the totals and the rejections."""
        if self.rejects is not None:
            self.rejects.close()
        print_totals(self.totals)
        if sent:
            click.echo(f"accepted {self.accepted}, already there {self.there}, rejected {self.rejected}")
        else:
            click.echo(f"dry run, nothing was sent: {self.accepted} would be sent, rejected {self.rejected}")
        for message in self.messages:
            click.echo(f"{name}, {message}", err=True)
        if self.rejected > len(self.messages):
            click.echo(f"… and {self.rejected - len(self.messages)} more; --rejects FILE lists all", err=True)


class RowSender:
    """Sends batches one after the other, in the order of the file, while the next one is read."""

    def __init__(self, client: Client, outcome: Import, name: str) -> None:
        """Keep the client, and where the outcome is counted."""
        self._client = client
        self._outcome = outcome
        self._name = name
        self._pool = ThreadPoolExecutor(1)
        self._sending: Future[None] | None = None

    def send(self, rows: list[ReadyRow]) -> None:
        """Send rows, after the batch before. Raises ClickException when that one got no answer."""
        self.wait()
        self._sending = self._pool.submit(self._send, rows)

    def wait(self) -> None:
        """Wait until what was sent is answered. Raises ClickException without an answer."""
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.result()

    def close(self) -> None:
        """Wait for the thread to end."""
        self._pool.shutdown()

    def _send(self, rows: list[ReadyRow]) -> None:
        while rows:
            body = b"[%b]" % b",".join(row.text for row in rows)
            label = f"{self._name}, lines {rows[0].line} to {rows[-1].line}"
            answer = self._client.post("/trades", body, label)
            if answer.status_code == HTTPStatus.CREATED:
                self._outcome.count(rows, answer.json()["duplicates"])
                return
            if answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and len(rows) > 1:
                middle = len(rows) // 2
                self._send(rows[:middle])
                rows = rows[middle:]
            else:
                rows = self._keep_good(rows, answer)

    def _keep_good(self, rows: list[ReadyRow], answer: Answer) -> list[ReadyRow]:
        """Reject the rows that the answer names, and return the others, which were not accepted for their sake."""
        try:
            errors: dict[str, dict[str, list[str]]] = answer.json()["errors"]
        except (ValueError, KeyError):
            message = f"{self._name}, line {rows[0].line}: {answer.status_code} {read_detail(answer)}"
            raise click.ClickException(message) from None
        for index, messages in errors.items():
            row = rows[int(index)]
            reasons = (f"{name}: {' '.join(texts)}" for name, texts in messages.items())
            self._outcome.reject(row.line, "; ".join(reasons), row.cells)
        return [row for index, row in enumerate(rows) if str(index) not in errors]

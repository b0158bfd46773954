"""Sends rows in batches, each with its key, and totals what is in the journal afterwards."""

import csv
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
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

AHEAD: Final = 1
"""Batches that are sent or ready while the next one is read: the reader waits when there is one more."""


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


class Sent(NamedTuple):
    """What became of the rows of a batch: those in the journal, ``there`` of them since before, and the rejected."""

    rows: Sequence[ReadyRow] = ()
    there: int = 0
    rejected: Sequence[tuple[ReadyRow, str]] = ()


class RowSender:
    """Sends batches one after the other, in the order of the file, while later ones are read.

    One more batch is kept ready, so that the stack does not wait for the reader; none is sent after one without an
    answer. What the answers say is counted by the thread that reads.
    """

    def __init__(self, client: Client, outcome: Import, name: str) -> None:
        """Keep the client, and where the outcome is counted."""
        self._client = client
        self._outcome = outcome
        self._name = name
        self._pool = ThreadPoolExecutor(1)
        self._sending: deque[tuple[Future[None], list[Sent]]] = deque()
        self._failed = False

    def send(self, rows: list[ReadyRow]) -> None:
        """Send rows, after the batches before. Raises ClickException when one of these got no answer."""
        done: list[Sent] = []
        self._sending.append((self._pool.submit(self._try_send, rows, done), done))
        self._wait(AHEAD)

    def wait(self) -> None:
        """Wait until what was sent is answered. Raises ClickException without an answer."""
        self._wait(0)

    def close(self) -> None:
        """Wait for the answer to what is being sent, and count it; what was only ready is not sent."""
        self._pool.shutdown(cancel_futures=True)
        for _, done in self._sending:
            self._count(done)
        self._sending.clear()

    def _wait(self, left: int) -> None:
        while len(self._sending) > left:
            sending, done = self._sending[0]
            # Ctrl+C may end this wait; what the batch wrote is then counted by ``close``.
            sending.result()
            self._sending.popleft()
            self._count(done)

    def _count(self, done: Sequence[Sent]) -> None:
        for sent in done:
            self._outcome.count(sent.rows, sent.there)
            for row, reason in sent.rejected:
                self._outcome.reject(row.line, reason, row.cells)

    def _try_send(self, rows: list[ReadyRow], done: list[Sent]) -> None:
        if self._failed:
            return
        try:
            # One by one: those sent before a failure are in.
            for sent in self._send(rows):
                done.append(sent)  # noqa: PERF402 - extend need not keep them when the generator fails
        except BaseException:
            self._failed = True
            raise

    def _send(self, rows: list[ReadyRow]) -> Iterator[Sent]:
        while rows:
            body = b"[%b]" % b",".join(row.text for row in rows)
            label = f"{self._name}, lines {rows[0].line} to {rows[-1].line}"
            answer = self._client.post("/trades", body, label)
            if answer.status_code == HTTPStatus.CREATED:
                yield Sent(rows, answer.json()["duplicates"])
                return
            if answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and len(rows) > 1:
                middle = len(rows) // 2
                yield from self._send(rows[:middle])
                rows = rows[middle:]
            else:
                rejected = self._find_rejected(rows, answer)
                yield Sent(rejected=[(rows[index], reason) for index, reason in rejected.items()])
                rows = [row for index, row in enumerate(rows) if index not in rejected]

    def _find_rejected(self, rows: list[ReadyRow], answer: Answer) -> dict[int, str]:
        """Find the rows that the answer names, each with the reason; for their sake none was accepted."""
        try:
            errors: dict[str, dict[str, list[str]]] = answer.json()["errors"]
        except (ValueError, KeyError):
            message = f"{self._name}, line {rows[0].line}: {answer.status_code} {read_detail(answer)}"
            raise click.ClickException(message) from None
        return {
            int(index): "; ".join(f"{name}: {' '.join(texts)}" for name, texts in messages.items())
            for index, messages in errors.items()
        }

"""Sends trades to a running stack one by one, and totals what it accepted."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urljoin

import click
import requests
from flask import current_app

from common.settings import Settings
from common.tally import Tally

TRIES: Final = 5
"""How often one trade is sent while the stack answers 503, which promises that nothing was written, or 409."""

_TIMEOUT_SECONDS = 30
_SHOWN = 20
_AGAIN = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.CONFLICT)


class Entry(NamedTuple):
    """A trade to send; ``label`` says where it came from, ``key`` makes sending it again harmless."""

    label: str
    trade: Mapping[str, str]
    key: str = ""


@dataclass
class Outcome:
    """What became of the trades that were sent: totals by symbol and side, and each refusal."""

    accepted: dict[tuple[str, str], Tally] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    repeated: int = 0

    def count(self, event: Mapping[str, Any], *, repeated: bool) -> None:
        """Count one accepted event; ``repeated`` if an earlier run had sent it."""
        self.repeated += repeated
        self.accepted.setdefault((event["symbol"], event["side"]), Tally()).add([event["price"]], [event["qty"]])

    def report(self) -> None:
        """Print the totals. Raises SystemExit with 1 when a trade was refused."""
        rows = [("symbol", "side", "trades", "quantity", "notional")]
        rows += [
            (symbol, side, str(tally.trades), f"{tally.quantity:f}", f"{tally.notional:f}")
            for (symbol, side), tally in sorted(self.accepted.items())
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            # Names to the left, figures to the right.
            texts = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
            click.echo("  ".join([row[0].ljust(widths[0]), row[1].ljust(widths[1]), *texts[2:]]))
        total = sum(tally.trades for tally in self.accepted.values())
        before = f" ({self.repeated} of them by an earlier run)" if self.repeated else ""
        click.echo(f"accepted {total}{before}, refused {len(self.refused)}")
        for refusal in self.refused[:_SHOWN]:
            click.echo(refusal, err=True)
        if len(self.refused) > _SHOWN:
            click.echo(f"… and {len(self.refused) - _SHOWN} more", err=True)
        if self.refused:
            raise SystemExit(1)


class Client:
    """A keep-alive connection to the stack at ``url``."""

    def __init__(self, url: str, pause: Callable[[float], None] = time.sleep) -> None:
        """Keep the address; ``pause`` waits the seconds it is given."""
        self._url = url
        self._pause = pause
        self._session = requests.Session()

    def __enter__(self) -> Self:
        """Use the client in a ``with`` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._session.close()

    def send(self, entry: Entry, outcome: Outcome) -> None:
        """Send one trade and note what became of it.

        Raises ClickException when the stack cannot be reached: then it is unknown whether this trade was accepted.
        """
        answer = self._post(entry)
        for _ in range(TRIES - 1):
            if answer.status_code not in _AGAIN:
                break
            self._pause(float(answer.headers.get("Retry-After", "1")))
            answer = self._post(entry)
        if answer.status_code == HTTPStatus.CREATED:
            outcome.count(answer.json(), repeated="Idempotent-Replayed" in answer.headers)
        else:
            outcome.refused.append(f"{entry.label}: {answer.status_code} {_read_detail(answer)}")

    def _post(self, entry: Entry) -> requests.Response:
        headers = {"Idempotency-Key": entry.key} if entry.key else {}
        try:
            return self._session.post(
                urljoin(self._url, "/trade"), json=entry.trade, headers=headers, timeout=_TIMEOUT_SECONDS
            )
        except requests.RequestException as error:
            message = f"{entry.label}: no answer from {self._url}; is the stack up (`make apps-up`)? {error}"
            raise click.ClickException(message) from error


def _read_detail(answer: requests.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.reason


def get(url: str, **query: str) -> requests.Response:
    """Get an address. Raises ClickException when it does not answer with 200."""
    try:
        answer = requests.get(url, params=query, timeout=_TIMEOUT_SECONDS)
        answer.raise_for_status()
    except requests.RequestException as error:
        message = f"no answer from {url}; is the stack up (`make apps-up`)? {error}"
        raise click.ClickException(message) from error
    return answer


def choose_url(url: str | None) -> str:
    """Choose the stack's address: the one given, or the one in the settings."""
    settings: Settings = current_app.config["SETTINGS"]
    return url or f"http://{settings.write_webapp_address()}"


def send_all(url: str, entries: Iterable[Entry], total: int | None, title: str) -> None:
    """Send trades under a progress bar and print the totals, also when broken off.

    Raises SystemExit with 1 when one was refused, and ClickException when the stack cannot be reached.
    """
    outcome = Outcome()
    try:
        with Client(url) as client, click.progressbar(entries, length=total, label=title, show_pos=True) as bar:
            for entry in bar:
                client.send(entry, outcome)
    except (click.ClickException, KeyboardInterrupt):
        click.echo()
        click.echo("Broken off. Accepted until then:")
        outcome.refused.clear()
        outcome.report()
        raise
    outcome.report()


url_option = click.option("--url", help="The stack's address; by default the one in the settings.")

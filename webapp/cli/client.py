"""The client of ``replay`` and ``simulate``: sends trades one by one, and totals the accepted ones."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urljoin

import click
import msgspec
import requests

from common.tally import Tally, write_sum
from webapp.cli.tables import print_table

TRIES: Final = 5
"""The most attempts for one trade while the stack answers 503 or 429, after which nothing was written, or 409."""

RETRY_SECONDS: Final = 60.0
"""How long a trade with a key is sent again when the stack, which answered before, gives no answer."""

SHOWN: Final = 20
"""The most rejections that are shown."""

HOW_TO_AUTHENTICATE: Final = (
    "Put the token into a file that only you may read, and name it with --token-file,"
    " or in TOKEN_FILE (that of the sidecar: SIDECAR_TOKEN_FILE)."
)

_RETRY_PAUSE_SECONDS = 0.25
_TIMEOUT_SECONDS = 30
_AGAIN = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS)


Answer = requests.Response


class Entry(NamedTuple):
    """A trade to send, with a ``label`` for messages, and an idempotency ``key`` so that it can be sent again."""

    label: str
    trade: Mapping[str, str]
    key: str = ""


@dataclass
class Outcome:
    """The results of the trades sent: totals by symbol and side, and each rejection."""

    accepted: dict[tuple[str, str], Tally] = field(default_factory=dict)
    rejected: list[str] = field(default_factory=list)
    duplicates: int = 0

    def count(self, event: Mapping[str, Any], *, is_duplicate: bool) -> None:
        """Count one accepted event; ``is_duplicate`` if an earlier attempt or run sent it."""
        self.duplicates += is_duplicate
        self.accepted.setdefault((event["symbol"], event["side"]), Tally()).add([event["price"]], [event["qty"]])

    def report(self) -> None:
        """Print the totals. Raises SystemExit with 1 when a trade was rejected."""
        print_totals(self.accepted)
        total = sum(tally.trades for tally in self.accepted.values())
        before = f" ({self.duplicates} of them by an earlier attempt)" if self.duplicates else ""
        click.echo(f"accepted {total}{before}, rejected {len(self.rejected)}")
        for rejection in self.rejected[:SHOWN]:
            click.echo(rejection, err=True)
        if len(self.rejected) > SHOWN:
            click.echo(f"… and {len(self.rejected) - SHOWN} more", err=True)
        if self.rejected:
            raise SystemExit(1)


def print_totals(totals: Mapping[tuple[str, str], Tally]) -> None:
    """Print totals by symbol and side."""
    rows = [("symbol", "side", "trades", "quantity", "notional")]
    rows += [
        (symbol, side, str(tally.trades), write_sum(tally.quantity), write_sum(tally.notional))
        for (symbol, side), tally in sorted(totals.items())
    ]
    print_table(rows)


class Client:
    """A keep-alive connection to the stack at ``url``."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep the address and the token to send; ``pause`` is called with the seconds between attempts."""
        self.url = url
        self._token = token
        self._pause = pause
        self._clock = clock
        self._has_answered = False
        self._session = requests.Session()
        self._session.auth = _authorize(token)

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._session.close()

    def send(self, entry: Entry, outcome: Outcome) -> None:
        """Send one trade and count its result.

        Raises ClickException without an answer; it is then unknown whether the trade was accepted.
        """
        headers = {"Idempotency-Key": entry.key} if entry.key else {}
        answer = self.post("/trade", msgspec.json.encode(entry.trade), entry.label, headers, may_repeat=bool(entry.key))
        if answer.status_code == HTTPStatus.CREATED:
            outcome.count(answer.json(), is_duplicate="Idempotent-Replayed" in answer.headers)
        else:
            outcome.rejected.append(f"{entry.label}: {answer.status_code} {read_detail(answer)}")

    def get(self, path: str, **query: str) -> requests.Response:
        """Get a path of the stack. Raises ClickException for an error status, or without an answer."""
        return get(urljoin(self.url, path), self._token, **query)

    def post(
        self, path: str, body: bytes, label: str, headers: Mapping[str, str] | None = None, *, may_repeat: bool = True
    ) -> requests.Response:
        """Post JSON, again while the stack is busy, and return the answer; ``label`` is for messages.

        With ``may_repeat``, when every trade has a key, it is posted again after a lost connection too.
        Raises ClickException without an answer; it is then unknown whether its trades were accepted.
        """
        post = partial(self._post_once, urljoin(self.url, path), body, headers or {})
        answer = self._repeat(post, label, may_repeat=may_repeat)
        for _ in range(TRIES - 1):
            if answer.status_code not in _AGAIN:
                break
            self._pause(float(answer.headers.get("Retry-After", "1")))
            answer = self._repeat(post, label, may_repeat=may_repeat)
        return answer

    def _repeat(self, post: Callable[[], requests.Response], label: str, *, may_repeat: bool) -> requests.Response:
        try:
            return post()
        except requests.RequestException as error:
            # Without a key it could be accepted twice; an address that never answered is probably a wrong one.
            if not (may_repeat and self._has_answered):
                raise self._no_answer(label, error) from error
        click.echo(
            f"\n{label}: no answer from {self.url}; sending it again for up to {RETRY_SECONDS:g} s,"
            " with the same key, so that it counts once.",
            err=True,
        )
        deadline = self._clock() + RETRY_SECONDS
        while True:
            self._pause(_RETRY_PAUSE_SECONDS)
            try:
                return post()
            except requests.RequestException as error:
                if self._clock() >= deadline:
                    raise self._no_answer(label, error) from error

    def _post_once(self, url: str, body: bytes, headers: Mapping[str, str]) -> requests.Response:
        kind = {"Content-Type": "application/json"}
        answer = self._session.post(url, body, headers=kind | dict(headers), timeout=_TIMEOUT_SECONDS)
        self._has_answered = True
        _check_token(answer)
        return answer

    def _no_answer(self, label: str, error: requests.RequestException) -> click.ClickException:
        return click.ClickException(f"{label}: {_describe_silence(self.url, error)}")


def _authorize(token: str | None) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """Return what adds the token to a request. Without one nothing is sent, not even what ~/.netrc has for the host."""

    def add(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if token is not None:
            request.headers["Authorization"] = f"Bearer {token}"
        return request

    return add


def _check_token(answer: requests.Response) -> None:
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        message = f"{answer.url}: {read_detail(answer)}. {HOW_TO_AUTHENTICATE}"
        raise click.ClickException(message)


def _describe_silence(url: str, error: requests.RequestException) -> str:
    return f"no answer from {url}; is the stack up (`make apps-up`)? {error}"


def read_detail(answer: requests.Response) -> str:
    """Read why a request was rejected."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.reason


def get(url: str, token: str | None = None, **query: str) -> requests.Response:
    """Get a URL, with a token if there is one. Raises ClickException for an error status, or without an answer."""
    try:
        answer = requests.get(url, params=query, timeout=_TIMEOUT_SECONDS, auth=_authorize(token))
    except requests.RequestException as error:
        raise click.ClickException(_describe_silence(url, error)) from error
    _check_token(answer)
    if not answer.ok:
        message = f"{answer.url}: {answer.status_code} {read_detail(answer)}"
        raise click.ClickException(message)
    return answer


def send_all(client: Client, entries: Iterable[Entry], total: int | None, title: str) -> None:
    """Send trades with a progress bar and print the totals, also when interrupted.

    Raises SystemExit with 1 when a trade was rejected, and ClickException when the stack cannot be reached.
    """
    outcome = Outcome()
    try:
        with click.progressbar(entries, length=total, label=title, show_pos=True) as bar:
            for entry in bar:
                client.send(entry, outcome)
    except (click.ClickException, KeyboardInterrupt):
        click.echo()
        click.echo("Interrupted. Accepted so far:")
        outcome.rejected.clear()
        outcome.report()
        raise
    outcome.report()

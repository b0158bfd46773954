import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any

import click
import pytest
from flask import Flask, request
from werkzeug.serving import make_server

from common.journal.store import Journal
from tests.webapp.conftest import GOOD
from webapp.cli.client import RETRY_SECONDS, Client, Entry, Outcome, get
from webapp.cli.simulate import read_last_prices
from webapp.cli.stack_options import choose_sidecar_token, choose_token

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class LosesAnswers:
    """Passes requests to an application, and closes the connection of some of them instead of answering."""

    def __init__(self, app: Wsgi, losses: int) -> None:
        self.app = app
        self.losses = losses
        self.posts = 0

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        body = self.app(environ, start)
        if environ["REQUEST_METHOD"] == "POST":
            self.posts += 1
            if 1 < self.posts <= 1 + self.losses:
                environ["werkzeug.socket"].shutdown(SHUT_RDWR)
        return body


@contextmanager
def serve(app: Wsgi) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


ENTRIES = [Entry("trade 1", GOOD, "run-1"), Entry("trade 2", GOOD, "run-2")]


def test_a_trade_without_an_answer_is_sent_again_and_counts_once(
    app: Flask, journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = Outcome()
    with serve(LosesAnswers(app, 2)) as url, Client(url, pause=lambda _: None) as client:
        for entry in ENTRIES:
            client.send(entry, outcome)
    assert [tally.trades for tally in outcome.accepted.values()] == [2]
    assert (outcome.duplicates, outcome.rejected) == (1, [])
    assert journal.last_seq() == 2
    sentence = (
        f"trade 2: no answer from {url}; sending it again for up to 60 s, with the same key, so that it counts once."
    )
    assert capsys.readouterr().err == f"\n{sentence}\n"


def test_sending_again_ends_after_a_while(app: Flask, journal: Journal) -> None:
    times = iter(range(1000))
    losing = LosesAnswers(app, 1000)
    with (
        serve(losing) as url,
        Client(url, pause=lambda _: None, clock=lambda: next(times)) as client,
    ):
        client.send(ENTRIES[0], Outcome())
        with pytest.raises(click.ClickException, match=r"trade 2: no answer from .*; is the stack up"):
            client.send(ENTRIES[1], Outcome())
    assert losing.posts == 2 + RETRY_SECONDS
    assert journal.last_seq() == 2


def test_a_trade_without_a_key_is_not_sent_again(app: Flask) -> None:
    losing = LosesAnswers(app, 1)
    with serve(losing) as url, Client(url) as client:
        client.send(ENTRIES[0], Outcome())
        with pytest.raises(click.ClickException, match="trade 2: no answer"):
            client.send(ENTRIES[1]._replace(key=""), Outcome())
    assert losing.posts == 2


def test_a_stack_that_never_answered_is_reported_at_once(app: Flask) -> None:
    with serve(app) as url:
        pass
    with Client(url) as client, pytest.raises(click.ClickException, match="is the stack up"):
        client.send(ENTRIES[0], Outcome())


def test_the_last_prices_are_those_of_the_journal(app: Flask) -> None:
    with serve(app) as url:
        for price in ("5", "7.5"):
            app.test_client().post("/trade", json=GOOD | {"price": price})
        assert read_last_prices(Client(url), ["btcusdt", "NEVER"]) == {"btcusdt": 7.5}


def test_an_answer_that_is_an_error_is_shown(app: Flask) -> None:
    with serve(app) as url, pytest.raises(click.ClickException, match=r"symbol=X+: 422 symbol: .* is not accepted"):
        get(f"{url}/trades", symbol="X" * 200)


def test_an_answer_that_has_no_trades_is_reported() -> None:
    other = Flask("other")

    @other.get("/trades")
    def answer() -> str:
        return "[]"

    with serve(other) as url, pytest.raises(click.ClickException, match="answered something else than trades"):
        read_last_prices(Client(url), ["A"])


TOKEN = "tt_a-token-of-this-test"


@pytest.fixture
def locked() -> Flask:
    other = Flask("locked")

    @other.before_request
    def check() -> tuple[dict[str, str], int] | None:
        authorization = request.headers.get("Authorization")
        return None if authorization == f"Bearer {TOKEN}" else ({"detail": f"got {authorization}"}, 401)

    @other.post("/trade")
    def accept() -> tuple[dict[str, str], int]:
        return {"symbol": "A", "side": "BUY", "price": "1", "qty": "1"}, 201

    @other.get("/trades")
    def show() -> dict[str, list[str]]:
        return {"trades": []}

    return other


def test_a_token_is_sent_with_every_request(locked: Flask) -> None:
    outcome = Outcome()
    with serve(locked) as url, Client(url, TOKEN) as client:
        client.send(ENTRIES[0], outcome)
        assert read_last_prices(client, ["A"]) == {}
    assert not outcome.rejected


def test_an_answer_401_says_how_to_send_a_token_and_nothing_else_is_sent_instead(
    locked: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password of-another-program")
    monkeypatch.setenv("NETRC", str(netrc))
    with serve(locked) as url, Client(url) as client:
        for send in (lambda: client.send(ENTRIES[0], Outcome()), lambda: read_last_prices(client, ["A"])):
            with pytest.raises(click.ClickException, match=r"got None.*name it with --token-file, or in TOKEN_FILE"):
                send()


def test_the_token_is_the_one_of_the_option_or_of_the_settings(app: Flask, tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("option", "configured")}
    for name, file in files.items():
        file.touch(0o600)
        file.write_text(f"token-of-the-{name}\n")
    app.config["SETTINGS"] = replace(app.config["SETTINGS"], token_file=files["configured"])
    with app.app_context():
        assert choose_token(None) == "token-of-the-configured"
        assert choose_token(files["option"]) == "token-of-the-option"
        assert choose_sidecar_token(None) is None
        files["option"].chmod(0o644)
        with pytest.raises(click.ClickException, match=r"--token-file is .*; its mode is 0644"):
            choose_token(files["option"])

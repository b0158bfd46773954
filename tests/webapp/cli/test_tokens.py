import re
from datetime import datetime, timedelta

import pytest
from click.testing import Result
from flask import Flask

from common.credentials import hash_token, is_token, make_token
from common.journal.credentials import list_tokens
from common.journal.store import Journal


def run(app: Flask, *arguments: str) -> Result:
    return app.test_cli_runner().invoke(args=["tokens", *arguments])


def test_a_token_is_printed_once_and_only_its_hash_is_stored(app: Flask, journal: Journal) -> None:
    made = run(app, "create", "grid-bot", "--scope", "trade:write", "--scope", "trade:read", "--expires", "90d")
    text = made.stdout.removesuffix("\n")
    assert made.exit_code == 0
    assert is_token(text)
    assert "trade:read, trade:write, valid until 2" in made.stderr
    assert "the web process is locked" in made.stderr
    (token,) = list_tokens(journal)
    assert token.hash == hash_token(text)
    assert token.scopes == {"trade:read", "trade:write"}
    assert token.expires_at is not None
    length = datetime.fromisoformat(token.expires_at) - datetime.fromisoformat(token.created_at)
    assert length == timedelta(days=90)
    listed = run(app, "list")
    assert re.search(r"grid-bot +trade:read,trade:write +\S+Z +\S+Z +- +valid", listed.stdout)
    assert text not in listed.output
    assert token.hash.hex() not in repr(token)
    database = b"".join(path.read_bytes() for path in journal.path.parent.glob("journal.db*"))
    assert text.encode() not in database
    assert "locked" not in run(app, "create", "second", "--scope", "hook").stderr


def test_rotating_keeps_the_id_and_the_length_and_revoking_is_for_good(app: Flask, journal: Journal) -> None:
    first = run(app, "create", "bot", "--scope", "hook", "--expires", "12h").stdout.strip()
    second = run(app, "rotate", "bot").stdout.strip()
    (token,) = list_tokens(journal)
    assert (token.id, token.hash) == (1, hash_token(second))
    assert second != first
    assert token.expires_at is not None
    length = datetime.fromisoformat(token.expires_at) - datetime.fromisoformat(token.created_at)
    assert length == timedelta(hours=12)
    assert run(app, "revoke", "bot").stdout == "bot is revoked\n"
    assert run(app, "list").stdout.rstrip().endswith("revoked")
    for command in ("rotate", "revoke"):
        again = run(app, command, "bot")
        assert (again.exit_code, again.stdout, again.stderr) == (1, "", "Error: bot was revoked before\n")
    taken = run(app, "create", "bot", "--scope", "hook")
    assert taken.exit_code == 1
    assert "there is a token bot already, or there was" in taken.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["create", "two words", "--scope", "hook"], '"two words"; expected a name of 1 to 64 characters'),
        (["create", "other", "--scope", "hook"], '"other"; expected a name'),
        (["create", "bot", "--scope", "admin"], "'admin' is not one of 'trade:read', 'trade:write', 'hook'"),
        (["create", "bot"], "Missing option '--scope'"),
        (["create", "bot", "--scope", "hook", "--expires", "soon"], '"soon"; expected a time like 12h or 90d'),
        (["create", "bot", "--scope", "hook", "--expires", "0"], '"0"; expected a time'),
        (["create", "bot", "--scope", "hook", "--expires", "99999d"], "of 100 years at most"),
        (["rotate", "nobody"], "there is no token nobody"),
        (["revoke", "nobody"], "there is no token nobody"),
    ],
)
def test_a_bad_argument_is_named_and_makes_no_token(
    app: Flask, journal: Journal, arguments: list[str], message: str
) -> None:
    done = run(app, *arguments)
    assert done.exit_code in {1, 2}
    assert message in done.stderr
    assert done.stdout == ""
    assert list_tokens(journal) == []


def test_a_journal_that_cannot_be_opened_is_reported(app: Flask) -> None:
    app.config["SETTINGS"].journal_path.mkdir()
    done = run(app, "list")
    assert (done.exit_code, done.stderr.startswith("Error: journal ")) == (1, True)


def test_a_token_has_a_form_and_a_checksum() -> None:
    text = make_token()
    assert re.fullmatch(r"tt_[0-9A-Za-z]{38}", text)
    assert is_token(text)
    for bad in (
        "",
        text[:-1],
        f"{text}x",
        f"x{text}",
        text[:5] + ("a" if text[5] != "a" else "b") + text[6:],
        f"{text}\n",
    ):
        assert not is_token(bad)
    assert len({make_token() for _ in range(100)}) == 100

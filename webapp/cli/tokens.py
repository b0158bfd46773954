"""The commands ``flask --app webapp tokens …``; every worker of a running web process follows within a second."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import click
from flask.cli import with_appcontext

from common.credentials import SCOPES, Token, hash_token, make_token
from common.display import show_text
from common.journal.credentials import Term, add_token, has_credentials, list_tokens, revoke_token, rotate_token
from common.timestamps import format_timestamp, now
from common.value_readers import read_duration
from webapp.cli.credentials import name_argument, open_journal, tell_lock
from webapp.cli.tables import print_table

_LONGEST: Final = 100 * 365 * 24 * 60 * 60

tokens_cli = click.Group("tokens", help="Make, list, rotate and revoke the tokens of programs.")


def _read_length(_context: click.Context, _parameter: click.Parameter, text: str | None) -> timedelta | None:
    if text is None:
        return None
    try:
        seconds = read_duration(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= _LONGEST:
        message = f"{show_text(text)}; expected a time like 12h or 90d, of 100 years at most"
        raise click.BadParameter(message)
    return timedelta(seconds=seconds)


expires_option = click.option(
    "--expires", callback=_read_length, metavar="TIME", help="How long it is valid, like 12h or 90d."
)


@tokens_cli.command()
@name_argument
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice(SCOPES), help="May be repeated.")
@expires_option
@with_appcontext
def create(name: str, scopes: tuple[str, ...], expires: timedelta | None) -> None:
    """Make the token NAME and print it, once; a trade that names no source gets NAME as its source."""
    text, term = make_token(), _begin(expires)
    with open_journal() as journal:
        is_first = not has_credentials(journal)
        if not add_token(journal, name, hash_token(text), set(scopes), term):
            message = f"there is a token {name} already, or there was: rotate it, or choose another name"
            raise click.ClickException(message)
    click.echo(text)
    click.echo(f"{name} may {', '.join(sorted(set(scopes)))}, {_describe(term)}. It is not shown again.", err=True)
    if is_first:
        tell_lock()


@tokens_cli.command("list")
@with_appcontext
def list_all() -> None:
    """List the tokens; their text is not known."""
    with open_journal() as journal:
        tokens = list_tokens(journal)
    at = format_timestamp(now())
    rows: list[tuple[str, ...]] = [("name", "scopes", "made", "expires", "last used", "state")]
    for token in tokens:
        times = map(_cut, (token.created_at, token.expires_at, token.last_used_at))
        rows.append((token.name, ",".join(sorted(token.scopes)), *times, token.find_end(at) or "valid"))
    print_table(rows, names=len(rows[0]))


@tokens_cli.command()
@name_argument
@expires_option
@with_appcontext
def rotate(name: str, expires: timedelta | None) -> None:
    """Give the token NAME another text and print it, once; its keys stay its own, the old text is invalid.

    Without --expires it is valid for as long again.
    """
    text = make_token()
    with open_journal() as journal:
        tokens = list_tokens(journal)
        old = next((token for token in tokens if token.name == name), None)
        term = _begin(expires or (_find_length(old) if old else None))
        if not rotate_token(journal, name, hash_token(text), term):
            raise _explain(tokens, name)
    click.echo(text)
    click.echo(f"{name} is {_describe(term)}. It is not shown again.", err=True)


@tokens_cli.command()
@name_argument
@with_appcontext
def revoke(name: str) -> None:
    """Make the token NAME invalid for good."""
    with open_journal() as journal:
        if not revoke_token(journal, name, format_timestamp(now())):
            raise _explain(list_tokens(journal), name)
    click.echo(f"{name} is revoked")


def _explain(tokens: Iterable[Token], name: str) -> click.ClickException:
    was = any(token.name == name for token in tokens)
    return click.ClickException(f"{name} was revoked before" if was else f"there is no token {name}")


def _begin(length: timedelta | None) -> Term:
    at = now()
    return Term(format_timestamp(at), None if length is None else format_timestamp(at + length))


def _find_length(token: Token) -> timedelta | None:
    if token.expires_at is None:
        return None
    return datetime.fromisoformat(token.expires_at) - datetime.fromisoformat(token.created_at)


def _describe(term: Term) -> str:
    return "valid until it is revoked" if term.expires_at is None else f"valid until {_cut(term.expires_at)}"


def _cut(time: str | None) -> str:
    return "-" if time is None else f"{time[:19]}Z"

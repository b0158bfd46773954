"""The commands ``flask --app webapp users …``; every worker of a running web process follows within a second."""

import sys

import click
from flask.cli import with_appcontext

from common.credentials import ROLES
from common.journal.credentials import add_user, has_credentials, list_users, remove_user, set_password
from common.passwords import LENGTH_MAX, LENGTH_MIN, hash_password
from common.timestamps import format_timestamp, now
from webapp.cli.credentials import name_argument, open_journal, tell_lock
from webapp.cli.tables import print_table

users_cli = click.Group("users", help="Make, list and remove the people who sign in, and set their passwords.")


def _read_password() -> str:
    """Read a password from standard input: at a terminal twice, unseen, otherwise its first line."""
    if sys.stdin.isatty():
        text: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        text = sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    if not LENGTH_MIN <= len(text) <= LENGTH_MAX:
        message = f"the password has {len(text)} characters; expected {LENGTH_MIN} to {LENGTH_MAX}"
        raise click.ClickException(message)
    return text


@users_cli.command()
@name_argument
@click.option("--role", required=True, type=click.Choice(list(ROLES)), help="viewer: read. trader: read and send.")
@with_appcontext
def create(name: str, role: str) -> None:
    """Make the user NAME, with a password from standard input."""
    with open_journal() as journal:
        if any(user.name == name and user.removed_at is None for user in list_users(journal)):
            raise _explain_taken(name)
        hashed = hash_password(_read_password())
        is_first = not has_credentials(journal)
        if not add_user(journal, name, role, hashed, format_timestamp(now())):
            raise _explain_taken(name)
    click.echo(f"{name} is a {role}")
    if is_first:
        tell_lock()


@users_cli.command("list")
@with_appcontext
def list_all() -> None:
    """List the users."""
    with open_journal() as journal:
        users = list_users(journal)
    rows: list[tuple[str, ...]] = [("name", "role", "made", "state")]
    rows += [
        (user.name, user.role, f"{user.created_at[:19]}Z", "removed" if user.removed_at else "active") for user in users
    ]
    print_table(rows, names=len(rows[0]))


@users_cli.command()
@name_argument
@with_appcontext
def remove(name: str) -> None:
    """Remove the user NAME, whose sessions end."""
    with open_journal() as journal:
        if not remove_user(journal, name, format_timestamp(now())):
            raise _explain_missing(name)
    click.echo(f"{name} is removed")


@users_cli.command()
@name_argument
@with_appcontext
def password(name: str) -> None:
    """Set the password of the user NAME from standard input; the user's sessions end."""
    with open_journal() as journal:
        if not any(user.name == name and user.removed_at is None for user in list_users(journal)):
            raise _explain_missing(name)
        if not set_password(journal, name, hash_password(_read_password())):
            raise _explain_missing(name)
    click.echo(f"{name} has a new password, and signs in again everywhere")


def _explain_taken(name: str) -> click.ClickException:
    return click.ClickException(f"there is a user {name} already; users password sets another password")


def _explain_missing(name: str) -> click.ClickException:
    return click.ClickException(f"there is no user {name}")

import re

import pytest
from click.testing import Result
from flask import Flask

from common.journal.credentials import list_users
from common.journal.store import Journal
from common.passwords import NO_HASH, hash_password, is_password

PASSWORD = "correct horse battery"


def run(app: Flask, *arguments: str, given: str = f"{PASSWORD}\n") -> Result:
    return app.test_cli_runner().invoke(args=["users", *arguments], input=given)


def test_a_user_is_made_with_a_password_from_standard_input(app: Flask, journal: Journal) -> None:
    made = run(app, "create", "ann", "--role", "trader")
    assert (made.exit_code, made.stdout) == (0, "ann is a trader\n")
    assert "the web process is locked" in made.stderr
    (user,) = list_users(journal)
    assert user.password_hash.startswith("$argon2id$")
    assert is_password(PASSWORD, user.password_hash)
    assert re.search(r"ann +trader +\S+Z +active", run(app, "list").stdout)
    assert run(app, "password", "ann", given="another password\r\n").exit_code == 0
    (changed,) = list_users(journal)
    assert is_password("another password", changed.password_hash)
    assert changed.session_version == user.session_version + 1
    assert run(app, "remove", "ann").stdout == "ann is removed\n"
    assert run(app, "list").stdout.rstrip().endswith("removed")
    assert run(app, "create", "ann", "--role", "viewer").exit_code == 0
    assert PASSWORD not in made.output


@pytest.mark.parametrize(
    ("arguments", "given", "message"),
    [
        (["create", "bob", "--role", "trader"], "short\n", "the password has 5 characters; expected 12 to 256"),
        (["create", "bob", "--role", "trader"], "", "the password has 0 characters"),
        (["create", "bob", "--role", "trader"], "x" * 257, "the password has 257 characters"),
        (["create", "bob", "--role", "admin"], PASSWORD, "'admin' is not one of 'viewer', 'trader'"),
        (["create", "two words", "--role", "trader"], PASSWORD, '"two words"; expected a name'),
        (["create", "ann", "--role", "trader"], PASSWORD, "there is a user ann already"),
        (["password", "bob"], PASSWORD, "there is no user bob"),
        (["remove", "bob"], "", "there is no user bob"),
    ],
)
def test_a_bad_argument_is_named_and_changes_nothing(
    app: Flask, journal: Journal, arguments: list[str], given: str, message: str
) -> None:
    run(app, "create", "ann", "--role", "viewer")
    before = list_users(journal)
    done = run(app, *arguments, given=given)
    assert done.exit_code in {1, 2}
    assert message in done.stderr
    assert given.strip() not in done.output or not given.strip()
    assert list_users(journal) == before


def test_a_hash_that_is_none_is_no_password() -> None:
    hashed = hash_password(PASSWORD)
    assert hashed != hash_password(PASSWORD)
    assert not is_password("", NO_HASH)
    assert not is_password(PASSWORD, "no hash")

"""The users of the servers: their keys, and users.conf, which is written from users.json."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypedDict

from nacl.signing import SigningKey

from common.private_files import create
from relay.access import INBOX, name_inbox
from relay.nkey import Nkey

Kind = Literal["admin", "hub", "host"]

STREAM: Final = "TRADES"


class User(TypedDict):
    """A user in users.json: the public half of its key, what it is, and its journal if it is a host."""

    key: str
    kind: Kind
    journal_id: str


@dataclass(frozen=True)
class Rights:
    """The subjects that a user may publish to, and those that it may subscribe to."""

    publish: Sequence[str]
    subscribe: Sequence[str]


def find_rights(kind: Kind, key: str, journal_id: str = "") -> Rights:
    """Return what the user with this public key may do.

    An administrator makes the stream. A host writes to its own subject alone, and hears when it is asked to go back. A
    hub reads the stream, and asks hosts to go back. Each reads the answers to itself.
    """
    api, inbox = "$JS.API", f"{name_inbox(key)}.>"
    if kind == "admin":
        # The usual inbox too, which the command nats has: no other user has answers there.
        publish = tuple(f"{api}.STREAM.{verb}.{STREAM}" for verb in ("INFO", "CREATE", "UPDATE"))
        return Rights(publish, (inbox, f"{INBOX}.>"))
    if kind == "host":
        publish = (f"trades.{journal_id}", f"{api}.STREAM.MSG.GET.{STREAM}")
        return Rights(publish, (inbox, f"rewind.{journal_id}"))
    reads = (f"{api}.STREAM.INFO.{STREAM}", f"{api}.CONSUMER.*.{STREAM}.>", f"{api}.CONSUMER.MSG.NEXT.{STREAM}.>")
    return Rights(("rewind.*", *reads), (inbox,))


def add_user(folder: Path, kind: Kind, name: str, journal_id: str = "") -> Path:
    """Add a user, or change its rights, and return the file of its key, which it keeps."""
    listed = folder / "users.json"
    users: dict[str, User] = json.loads(listed.read_text()) if listed.exists() else {}
    seed = folder / f"{name}.nkey"
    if not seed.exists():
        with os.fdopen(create(seed), "w") as file:
            file.write(f"{Nkey(SigningKey.generate()).write_seed()}\n")
    public = Nkey.read(seed.read_text().strip()).public
    users[name] = {"key": public, "kind": kind, "journal_id": journal_id}
    _replace(listed, json.dumps(users, indent=2) + "\n")
    _replace(folder / "users.conf", write_users(users))
    return seed


def _replace(path: Path, text: str) -> None:
    # A server that reads it meanwhile has all users, those of before or those of now.
    whole = path.with_name(f"{path.name}.new")
    whole.write_text(text)
    whole.replace(path)


def write_users(users: dict[str, User]) -> str:
    """Write the users as the servers read them."""
    lines = []
    for name, user in users.items():
        rights = find_rights(user["kind"], user["key"], user["journal_id"])
        lines += [f"    # {name}", f"    {{ nkey: {user['key']}, permissions: {{"]
        lines += [f"      publish: {_write(rights.publish)}", f"      subscribe: {_write(rights.subscribe)}", "    } }"]
    return "\n".join(["authorization {", "  users: [", *lines, "  ]", "}", ""])


def _write(subjects: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{subject}"' for subject in subjects) + "]"

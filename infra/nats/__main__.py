"""Makes the users and certificates of the servers, in ``var/nats``: ``python -m infra.nats --help``."""

import argparse
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from infra.nats.certificates import make_certificates
from infra.nats.users import add_user

FOLDER: Final = Path(__file__).parent.parent.parent / "var" / "nats"

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_JOURNAL_ID: Final = re.compile(r"[0-9a-f]{32}")


def _match(pattern: re.Pattern[str], expected: str, text: str) -> str:
    if pattern.fullmatch(text) is None:
        message = f"{text!r}; expected {expected}"
        raise argparse.ArgumentTypeError(message)
    return text


def _name(text: str) -> str:
    return _match(_NAME, "a name of 1 to 64 letters, digits, - and _", text)


def _journal_id(text: str) -> str:
    return _match(_JOURNAL_ID, "a journal_id, 32 hexadecimal digits", text)


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser("python -m infra.nats", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the files are; var/nats")
    kinds = parser.add_subparsers(required=True, metavar="WHAT", dest="kind")
    kinds.add_parser("admin", help="the user that makes the stream").add_argument("name", type=_name)
    kinds.add_parser("hub", help="a user for a hub").add_argument("name", type=_name)
    host = kinds.add_parser("host", help="a user for a host; again for one that has another journal_id since a restore")
    host.add_argument("name", type=_name)
    host.add_argument("journal_id", type=_journal_id)
    tls = kinds.add_parser("tls", help="a certificate of your own for the servers, where there is no authority")
    tls.add_argument("names", nargs="+", help="names and addresses of the nodes")
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if given.kind == "tls":
        try:
            paths = make_certificates(given.folder, given.names)
        except (OSError, subprocess.CalledProcessError) as error:
            sys.stderr.write(f"openssl failed: {error}\n")
            return 1
        print("\n".join(map(str, paths)))
        return 0
    seed = add_user(given.folder, given.kind, given.name, getattr(given, "journal_id", ""))
    print(f"{seed}: the key of {given.name}, for RELAY_NKEY_FILE")
    print(f"{given.folder / 'users.conf'}: for each node; it is read again after nats-server --signal reload")
    return 0


if __name__ == "__main__":
    sys.exit(main())

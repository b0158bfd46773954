"""``python -m relay``: fill the journal of a hub, with the settings of the environment."""

import argparse
import logging
import sys

from common.errors import BadSettingError, TelemetryError
from common.logs import configure_logging
from common.serving.process import run_daemon
from common.settings import Settings
from relay.daemon import Daemon
from relay.skip import skip


def main() -> int:
    """Run the command and return its exit code; a failed start is reported in one line."""
    parser = argparse.ArgumentParser("python -m relay", description="Bring the trades of many hosts to a hub.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    commands.add_parser("pull", help="ask the hosts in RELAY_HTTP_HOSTS for their trades, and write them to the hub")
    skipping = commands.add_parser("skip", help="go on with a host that has deleted trades which the hub lacks")
    skipping.add_argument("url", help="the host's, as in RELAY_HTTP_HOSTS")
    given = parser.parse_args()
    try:
        settings = Settings.from_env()
    except BadSettingError as error:
        sys.stderr.write(f"relay cannot start: {error}\n")
        return 1
    configure_logging("relay", settings.log_level)
    try:
        if given.command == "skip":
            sys.stdout.write(f"{skip(settings, given.url)}\n")
            return 0
        return run_daemon(Daemon(settings))
    except TelemetryError as error:
        logging.getLogger("relay").error("cannot start", extra={"reason": error.reason, "detail": error.detail})  # noqa: TRY400 - the reason is enough
        return 1


if __name__ == "__main__":
    sys.exit(main())

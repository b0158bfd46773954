"""``python -m relay``: bring the trades of hosts to hubs, with the settings of the environment.

What NATS needs is imported only where it is used: HTTP needs none of it.
"""
# ruff: noqa: PLC0415 - see above

import argparse
import logging
import sys

from common.errors import BadSettingError, TelemetryError
from common.logs import configure_logging
from common.serving.process import run_daemon
from common.settings import Settings

NATS = "nats"


def main() -> int:
    """Run the command and return its exit code; a failed start is reported in one line."""
    parser = argparse.ArgumentParser("python -m relay", description="Bring the trades of many hosts to a hub.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    commands.add_parser("setup", help="make the stream at RELAY_NATS_URL, or compare it with the settings")
    commands.add_parser("push", help="on a host: send its trades to the stream")
    commands.add_parser("pull", help="on a hub: read the stream, or the hosts in RELAY_HTTP_HOSTS, by RELAY_TRANSPORT")
    skipping = commands.add_parser("skip", help="go on with a host that has deleted trades which the hub lacks")
    skipping.add_argument("host", help="its URL, as in RELAY_HTTP_HOSTS; over NATS its journal_id")
    skipping.add_argument("after", nargs="?", type=int, metavar="FROM", help="over NATS on a hub: its mark of the host")
    skipping.add_argument("to", nargs="?", type=int, metavar="TO", help="over NATS on a hub: the seq to go on after")
    given = parser.parse_args()
    try:
        settings = Settings.from_env()
    except BadSettingError as error:
        sys.stderr.write(f"relay cannot start: {error}\n")
        return 1
    configure_logging("relay", settings.log_level)
    try:
        return _run(given, settings)
    except TelemetryError as error:
        logging.getLogger("relay").error("cannot start", extra={"reason": error.reason, "detail": error.detail})  # noqa: TRY400 - the reason is enough
        return 1


def _run(given: argparse.Namespace, settings: Settings) -> int:
    if given.command == "setup":
        from relay.setup import set_up

        lines = set_up(settings)
        sys.stdout.writelines(f"stream {settings.relay_stream}: {line}\n" for line in lines or ["as the settings say"])
        return 1 if lines else 0
    if given.command == "skip":
        if settings.relay_transport == NATS:
            from relay.stream_skip import skip_over_stream

            done = skip_over_stream(settings, given.host, given.after, given.to)
        else:
            from relay.skip import skip

            done = skip(settings, given.host)
        sys.stdout.write(f"{done}\n")
        return 0
    if given.command == "push":
        from relay.stream_relay import StreamPush

        return run_daemon(StreamPush(settings))
    if settings.relay_transport == NATS:
        from relay.stream_relay import StreamPull

        return run_daemon(StreamPull(settings))
    from relay.http_pull import HttpPull

    return run_daemon(HttpPull(settings))


if __name__ == "__main__":
    sys.exit(main())

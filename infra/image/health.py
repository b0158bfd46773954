"""The health check of the image: exit code 0 when the process of this container answers ``/healthz``."""

import sys
import urllib.error
import urllib.request
from pathlib import Path

from common.settings import Settings

_SECONDS = 3.0


def find_url(command: list[str], settings: Settings) -> str:
    """Return where the process that was started with ``command`` answers."""
    ports = {"sidecar": settings.sidecar_http_port, "relay": settings.relay_http_port}
    module = command[2] if command[1:2] == ["-m"] else ""
    port = ports.get(module, settings.webapp_http_port)
    return f"http://127.0.0.1:{port}/healthz"


def main() -> int:
    """Ask the first process of the container; return 0 when it is healthy."""
    command = Path("/proc/1/cmdline").read_text(encoding="utf-8").split("\0")
    try:
        urllib.request.urlopen(find_url(command, Settings.from_env()), timeout=_SECONDS)  # noqa: S310 - a URL of ours
    except urllib.error.HTTPError as error:
        return int(error.code != 200)  # noqa: PLR2004 - OK
    except OSError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

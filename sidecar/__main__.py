"""``python -m sidecar``: run the sidecar with the settings of the environment."""

import logging
import sys

from common.errors import BadSettingError, TelemetryError
from common.logs import configure_logging
from common.serving.process import run_daemon
from common.settings import Settings
from sidecar.daemon import SidecarDaemon


def main() -> int:
    """Run the sidecar and return its exit code; a failed start is reported in one line."""
    try:
        settings = Settings.from_env()
    except BadSettingError as error:
        sys.stderr.write(f"sidecar cannot start: {error}\n")
        return 1
    configure_logging("sidecar", settings.log_level)
    try:
        return run_daemon(SidecarDaemon(settings))
    except TelemetryError as error:
        logging.getLogger("sidecar").error("cannot start", extra={"reason": error.reason, "detail": error.detail})  # noqa: TRY400 - the reason is enough
        return 1


if __name__ == "__main__":
    sys.exit(main())

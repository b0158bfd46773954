"""Logs: one JSON object a line on standard error, the same in every process."""

import logging.config
from typing import Any

import msgspec
from pythonjsonlogger.json import JsonFormatter

_DELETE = b"\x7f"


class LineFormatter(JsonFormatter):
    """Writes a record as one line of printable ASCII."""

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        """Write it by msgspec, which takes less time; what msgspec would not escape, by the library."""
        log_data["timestamp"] = log_data["timestamp"].isoformat()
        try:
            # With a space after each colon and comma, as the library: people search the log for `"reason": "invalid"`.
            line = msgspec.json.format(msgspec.json.encode(log_data), indent=0)
        except (TypeError, ValueError, OverflowError):
            # An exception among the fields, for example; the library writes values of any type.
            return super().jsonify_log_record(log_data)
        # A terminal that shows the log obeys control characters, and other scripts may turn the direction of a line.
        if not line.isascii() or _DELETE in line:
            return super().jsonify_log_record(log_data)
        return line.decode()


def describe_logging(process: str, level: str) -> dict[str, Any]:
    """Describe the logging of one process, named ``process``, for ``logging.config.dictConfig``."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": LineFormatter,
                "fmt": "%(levelname)s %(name)s %(process)d %(message)s",
                "rename_fields": {"levelname": "level", "name": "logger", "process": "pid"},
                "static_fields": {"service": process},
                "timestamp": True,
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"level": level, "handlers": ["stderr"]},
    }


def configure_logging(process: str, level: str) -> None:
    """Send this process's log to standard error as JSON."""
    logging.config.dictConfig(describe_logging(process, level))

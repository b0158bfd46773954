"""Logs: one JSON object a line on standard error, the same in every process."""

import logging.config
from typing import Any


def describe_logging(process: str, level: str) -> dict[str, Any]:
    """Describe the logging of one process, named ``process``, for ``logging.config.dictConfig``."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": "pythonjsonlogger.json.JsonFormatter",
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

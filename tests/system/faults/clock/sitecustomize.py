"""Shifts the clock of the storm's processes by the seconds in a file; loaded through their PYTHONPATH.

Setting the host's clock would affect the test and Prometheus too.
"""

import os
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import common.timestamps

_file = Path(os.environ["CLOCK_FOLDER"]) / ("sidecar" if "sidecar" in sys.orig_argv else "web")
_time, _now = time.time, common.timestamps.now


def _read_shift() -> float:
    try:
        return float(_file.read_text())
    except (OSError, ValueError):
        return 0.0


def _shifted_time() -> float:
    return _time() + _read_shift()


def _shifted_now() -> datetime:
    return _now() + timedelta(seconds=_read_shift())


time.time = _shifted_time
common.timestamps.now = _shifted_now

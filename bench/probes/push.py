"""``python -m relay push`` that also notes how long each acknowledgement took: seconds, as doubles beside the journal.

The buckets of ``relay_ack_seconds`` are too wide to be compared with other figures.
"""

import os
import struct
import sys
from pathlib import Path
from typing import Final
from unittest.mock import patch

from common.histogram import Histogram
from relay.__main__ import main as relay

SUFFIX: Final = "-acks"
"""Of the file's name, after that of the journal."""


def main() -> int:
    """Push until stopped, and return the exit code."""
    observe = Histogram.observe
    path = Path(os.environ["JOURNAL_PATH"] + SUFFIX)
    with path.open("wb", buffering=0) as file:

        def note(self: Histogram, value: float) -> None:
            observe(self, value)
            file.write(struct.pack("d", value))

        with patch.object(Histogram, "observe", note):
            return relay()


if __name__ == "__main__":
    sys.exit(main())

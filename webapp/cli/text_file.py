"""Files of rows, as they are: plain or gzip, in any encoding and with any delimiter, from a path or standard input."""

import codecs
import csv
import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple, cast

import click

STANDARD_INPUT: Final = "-"
LINE_MAX: Final = 64 * 1024
"""The most characters of a line, or bytes; a file without line ends is not read whole."""

DELIMITERS: Final = ",;\t|"

_BROKEN = (OSError, EOFError, zlib.error)
_GZIP = b"\x1f\x8b"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class Row(NamedTuple):
    """A row of a file, with the number of its line, or of its last one."""

    line: int
    cells: list[str]


class TextFile:
    """An open file, read row by row; encoding, compression and delimiter are detected unless they are given."""

    def __init__(self, path: str, encoding: str | None = None, delimiter: str | None = None) -> None:
        """Open the file at ``path``, or standard input. Raises ClickException."""
        self.name = "standard input" if path == STANDARD_INPUT else path
        self._delimiter = delimiter
        self._line = 0
        try:
            self._file = sys.stdin.buffer if path == STANDARD_INPUT else open(path, "rb")  # noqa: PTH123, SIM115 - closed by `close`
        except OSError as error:
            message = f"{path}: {error.strerror}"
            raise click.ClickException(message) from error
        self._state = self._read_state()
        self.size = 0 if path == STANDARD_INPUT else self._state[0]
        try:
            self._stream = self._unpack(cast("io.BufferedReader", self._file))
            self._encoding = encoding or ("utf-16" if self._stream.peek(2)[:2] in _UTF_16 else "utf-8")
            # A text stream decodes ahead, so an error would not be of its line; only UTF-16 needs it to find the lines.
            wide = codecs.lookup(self._encoding).name.startswith(("utf-16", "utf-32"))
            self._text = io.TextIOWrapper(self._stream, self._encoding, newline="") if wide else None
        except LookupError as error:
            self.close()
            message = f"--encoding {encoding}: unknown; expected a name like utf-8 or windows-1252"
            raise click.ClickException(message) from error
        except _BROKEN as error:
            self.close()
            raise self._fail(f"the gzip data is broken: {error}") from error

    @staticmethod
    def _unpack(file: io.BufferedReader) -> io.BufferedReader:
        return io.BufferedReader(gzip.GzipFile(fileobj=file)) if file.peek(2)[:2] == _GZIP else file

    def position(self) -> int:
        """Return how many bytes of the file have been read."""
        return self._file.tell() if self.size else 0

    def rows(self) -> Iterator[Row]:
        """Yield the rows that are not empty. Raises ClickException with the line of what cannot be read."""
        lines = self._lines()
        first = next(lines, "")
        delimiter = self._delimiter or max(DELIMITERS, key=first.count)
        reader = csv.reader(_put_back(first, lines), delimiter=delimiter)
        try:
            for cells in reader:
                if any(cells):
                    yield Row(self._line, cells)
        except csv.Error as error:
            raise self._fail(f"not CSV: {error}; is a quotation mark open?") from error
        if self.size and self._read_state() != self._state:
            message = (
                f"{self.name} changed while it was read. Replay it again: what is accepted stays, and counts once."
            )
            raise click.ClickException(message)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _lines(self) -> Iterator[str]:
        while line := self._read_line():
            self._line += 1
            if len(line) > LINE_MAX:
                raise self._fail(f"longer than {LINE_MAX} characters; is this a file of trades?")
            if "\0" in line:
                raise self._fail("it has a zero byte; is this a file of text?")
            yield line

    def _read_line(self) -> str:
        try:
            if self._text is not None:
                return self._text.readline(LINE_MAX + 1)
            line = self._stream.readline(LINE_MAX + 1).decode(self._encoding)
            return line if self._line else line.removeprefix("\ufeff")
        except UnicodeError as error:
            self._line += 1
            raise self._fail(f"not in {self._encoding}: {error}; name it with --encoding") from error
        except _BROKEN as error:
            self._line += 1
            raise self._fail(f"the gzip data is broken: {error}") from error

    def _fail(self, message: str) -> click.ClickException:
        return click.ClickException(f"{self.name}, line {max(self._line, 1)}: {message}")

    def _read_state(self) -> tuple[int, int]:
        found = os.fstat(self._file.fileno())
        return found.st_size, found.st_mtime_ns


def _put_back(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest

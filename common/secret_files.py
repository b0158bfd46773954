"""Secret files: the settings that end in ``_FILE`` name them; one that others may read is rejected."""

import os
import re
import stat
from pathlib import Path
from typing import Final

from common.errors import BadSettingError

SECRET_MIN: Final = 16
"""The shortest secret, in characters."""

BYTES_MAX: Final = 4096

_EXPECTED: Final = f"a file with one line of {SECRET_MIN} or more visible ASCII characters"

_LINE = re.compile(rf"[!-~]{{{SECRET_MIN},}}")


def read_secret(setting: str, path: Path) -> str:
    """Read the secret in the file that a setting names. Raises BadSettingError, which never shows what is in it."""
    line = read_secret_text(setting, path)
    if not _LINE.fullmatch(line):
        raise BadSettingError(setting, str(path), f"{_EXPECTED}, without spaces")
    return line


def read_secret_text(setting: str, path: Path) -> str:
    """Read the text of such a file, without the end of its last line. Raises BadSettingError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - what is checked is what was opened
            found = os.fstat(descriptor)
            text = file.read(BYTES_MAX + 1) if stat.S_ISREG(found.st_mode) else b""
    except OSError as error:
        raise BadSettingError(setting, str(path), f"a file that can be read: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode):
        raise BadSettingError(setting, str(path), "a file, not a folder or a device")
    exposed = describe_exposure(found)
    if exposed:
        raise BadSettingError(setting, str(path), f"a file that only its owner may read, with mode 0600; {exposed}")
    if len(text) > BYTES_MAX:
        raise BadSettingError(setting, str(path), f"{_EXPECTED}, and at most {BYTES_MAX} bytes")
    return text.removesuffix(b"\n").removesuffix(b"\r").decode("ascii", "replace")


def describe_exposure(found: os.stat_result) -> str:
    """Describe how users other than this one and root can read or write a file; nothing if they cannot."""
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid not in {0, os.geteuid()}:
        return f"its owner is the user {found.st_uid}"
    # systemd gives a credential of root to a user by an access list, whose mask is shown as the group's permissions.
    is_listed = found.st_uid == found.st_gid == 0 and os.geteuid() != 0
    others = 0o037 if is_listed else 0o077
    return f"its mode is {mode:04o}" if mode & others else ""

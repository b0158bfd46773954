"""The lock: one process for each file that two must not use at once.

The operating system releases it when the process ends, however it ends; the lock file stays.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from common.errors import LockError
from common.paths import LOCK


@contextlib.contextmanager
def locked(**paths: Path) -> Iterator[None]:
    """Lock files while the block runs; each keyword names its file in errors. Raises LockError."""
    with contextlib.ExitStack() as held:
        for name, path in paths.items():
            held.callback(os.close, _lock(name, path))
        yield


def _lock(name: str, path: Path) -> int:
    # Two paths of one file share one lock.
    file = Path(f"{path.resolve()}{LOCK}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LockError("lock", f"{name} {path} cannot be locked: {file}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "of unknown id"
        os.close(descriptor)
        raise LockError("in_use", f"{name} {path} is in use by another process, {holder}") from error
    except OSError as error:
        os.close(descriptor)
        raise LockError("lock", f"{name} {path} cannot be locked: {file}: {error.strerror}") from error
    # The process id is only for the error text: on a full disk it may be missing.
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor

"""What ``doctor`` checks on this host without a server: versions, access, files, disk, journal, snapshot, backups."""

import importlib.metadata
import os
import platform
import re
import stat
from pathlib import Path
from typing import Final

from common import __version__
from common.backups import OLD_SECONDS, list_backups
from common.credentials import FIRST_TOKEN
from common.errors import BadSettingError, JournalError
from common.hosts import is_loopback
from common.journal.disk import measure_disk
from common.journal.opening import inspect
from common.paths import PREVIOUS, SNAPSHOT_REASONS
from common.replica import find_folder, read_times
from common.settings import Settings
from common.timestamps import now
from webapp.cli.findings import START, Findings, fail, note, ok

FULL_SHARE: Final = 0.02
LITTLE_SHARE: Final = 0.1
"""As the alerts JournalDiskFull and JournalDiskFillsUp."""

_LOCK: Final = Path(__file__).resolve().parents[2] / "requirements.txt"
_RESTORE: Final = "stop the stack, keep all of its files, and restore the last backup (docs/backup.md)"


def check_versions(_settings: Settings) -> Findings:
    """Check that the installed packages are those of the lock."""
    locked = re.findall(r"^([\w.-]+)(?:\[\w+\])?==([\w.!+-]+)", _LOCK.read_text(), re.MULTILINE)
    other = []
    for name, version in locked:
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            # Some are for other platforms only.
            continue
        if installed != version:
            other.append(f"{name} {installed} instead of {version}")
    found = f"{__version__} on Python {platform.python_version()}"
    if other:
        yield fail("versions", f"{found}; {', '.join(other[:5])}", "install the lock again: make env-setup")
    else:
        yield ok("versions", f"{found}, packages as in requirements.txt")


def check_access(settings: Settings) -> Findings:
    """Check who has access to the web process and to the sidecar."""
    mode = f'AUTH="{settings.auth}"'
    exposed = not is_loopback(settings.webapp_http_host)
    locked = _has_credentials(settings)
    if settings.auth == "off":
        yield note("access", f"{mode}: everyone who reaches the address has access", 'set AUTH="auto" or "required"')
    elif locked:
        yield ok("access", f"{mode}: locked, a token or a user exists")
    elif settings.auth == "required":
        yield note("access", f"{mode}, and no token exists: nobody has access", FIRST_TOKEN)
    elif exposed or settings.trusted_proxies:
        reason = f"it listens on {settings.webapp_http_host}" if exposed else "TRUSTED_PROXIES is set"
        yield fail("access", f"{mode}, {reason}, and no token exists: it does not start", FIRST_TOKEN)
    else:
        yield note("access", f"{mode}: open on this machine until the first token", FIRST_TOKEN)
    try:
        token = settings.require_sidecar_token()
    except BadSettingError as error:
        yield fail("sidecar's token", error.detail, "make infra-up makes it; or chmod 600 the file")
    else:
        yield ok("sidecar's token", "none; the sidecar is open" if token is None else "readable only by its owner")


def _has_credentials(settings: Settings) -> bool:
    try:
        return inspect(settings.journal_path).has_credentials
    except JournalError:
        # The check of the journal says why.
        return False


def check_files(settings: Settings) -> Findings:
    """Check that only their owner can read and write the files, and that their folders can be written."""
    journal, snapshot = settings.journal_path, settings.snapshot_path
    files = [Path(f"{journal}{end}") for end in ("", "-wal", "-shm")]
    files += [snapshot, Path(f"{snapshot}{PREVIOUS}"), Path(".env")]
    files += [
        each
        for each in (
            settings.secret_key_file,
            settings.sidecar_token_file,
            settings.token_file,
            settings.relay_token_file,
        )
        if each
    ]
    wrong = False
    for path in files:
        problem = _describe_file(path)
        if problem:
            wrong = True
            yield fail("files", f"{path}: {problem[0]}", problem[1])
    for folder in dict.fromkeys((journal.parent, snapshot.parent)):
        if folder.exists() and not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
            wrong = True
            user = f"the user {os.geteuid()}"
            yield fail(
                "files", f"{folder} is no folder that {user} can write", f"make it a folder of {user}, mode 0700"
            )
    if not wrong:
        yield ok("files", "only their owner can read them, and their folders can be written")


def _describe_file(path: Path) -> tuple[str, str] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    mode = stat.S_IMODE(found.st_mode)
    if stat.S_ISLNK(found.st_mode):
        return "a symbolic link, which is rejected", "name the file itself, or link its folder"
    if found.st_uid not in {0, os.geteuid()}:
        return (
            f"belongs to the user {found.st_uid}",
            "run web, sidecar and commands as one user, and chown the file to it",
        )
    return (f"others can read or write it, mode {mode:04o}", f"chmod 600 {path}") if mode & 0o077 else None


def check_disk(settings: Settings) -> Findings:
    """Check that the journal's disk has space."""
    folder = settings.journal_path.parent
    if not folder.is_dir():
        return
    usage = measure_disk(settings.journal_path)
    share = usage.free / usage.total if usage.total else 0.0
    found = f"{share:.0%} of the disk of {folder} is free; the journal has {usage.used / 1e6:.1f} MB"
    if share < FULL_SHARE:
        yield fail("disk", found, "free space now: trades are rejected when it is full (runbook journal-disk-full)")
    elif share < LITTLE_SHARE:
        yield note("disk", found, "free space, or set JOURNAL_RETENTION (runbook journal-disk-fills-up)")
    else:
        yield ok("disk", found)


def check_journal(settings: Settings) -> Findings:
    """Check that the journal can be read, without creating or migrating it."""
    path = settings.journal_path
    if not path.exists():
        yield note("journal", f"there is no {path} yet", f"{START}; the first trade creates it")
        return
    try:
        seen = inspect(path, whole=True)
    except JournalError as error:
        todo = {
            "foreign": "set JOURNAL_PATH to the journal",
            "version": "run the newer version that wrote it",
            "locked": "end the program that holds its lock: fuser -v",
            "symlink": "name the file itself, or link its folder",
        }
        yield fail("journal", error.detail, todo.get(error.reason, _RESTORE))
    else:
        yield ok("journal", f"{path} has schema {seen.version} and trades up to seq {seen.last_seq}")


def check_snapshot(settings: Settings) -> Findings:
    """Check that there is a snapshot, and that none was set aside."""
    path = settings.snapshot_path
    aside = [file for reason in SNAPSHOT_REASONS if (file := Path(f"{path}.{reason}")).exists()]
    if aside:
        names = ", ".join(map(str, aside))
        yield note(
            "snapshot", f"{names} was set aside; counters were read from the journal", "delete it when you know why"
        )
    if not path.exists():
        yield note("snapshot", f"there is no {path} yet", f"{START}; the sidecar writes it")
    elif not aside:
        yield ok("snapshot", f"{path} was saved {_show_age(now().timestamp() - path.stat().st_mtime)} ago")


def check_backups(settings: Settings) -> Findings:
    """Check the age of the newest backup."""
    folder = settings.backup_folder
    if folder is None:
        yield note("backup", "no BACKUP_FOLDER is set", "set it, and a timer (docs/backup.md)")
        return
    todo = "run flask --app webapp trades backup, and see why its timer did not (docs/backup.md)"
    try:
        backups = list_backups(folder)
    except OSError as error:
        yield fail("backup", str(error), "make BACKUP_FOLDER a folder that this user can read")
        return
    if not backups:
        yield fail("backup", f"{folder} has no backup", todo)
        return
    newest = backups[-1]
    age = now().timestamp() - newest.made_at.timestamp()
    found = f"{newest.path} was made {_show_age(age)} ago"
    yield fail("backup", found, todo) if age > OLD_SECONDS else ok("backup", found)


def check_replica(settings: Settings) -> Findings:
    """Check that Litestream's copy has what is in the journal."""
    if not settings.replica_url:
        yield note("copy", "no REPLICA_URL is set", "set it, and run Litestream, to lose seconds and not a day")
        return
    folder = find_folder(settings.replica_url)
    if folder is None:
        yield note(
            "copy",
            f"the age of the copy at {_hide_user(settings.replica_url)} is not known here",
            "Litestream's metrics in Prometheus or its heartbeat say it (docs/backup.md)",
        )
        return
    times = read_times(settings.journal_path, folder)
    age = now().timestamp() - times.copied
    found = f"{folder} has the journal as of {_show_age(age)} ago" if times.copied else f"{folder} has no copy"
    if times.is_behind(now().timestamp()):
        yield fail("copy", found, "does litestream replicate run, and what does its log say (runbook replica-behind)?")
    else:
        yield ok("copy", f"{found}; nothing is newer" if times.has_all() else found)


def _hide_user(url: str) -> str:
    """Return a URL without the user and the password that it may have."""
    return re.sub("//.*@", "//", url)


def _show_age(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{max(seconds, 0):.1f} s"

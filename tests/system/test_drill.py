"""The drill of docs/backup.md: the disk of a stack under load is lost, and it runs again from the copy."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from common.journal.store import Journal
from tests.conftest import ROOT
from tests.system.stack import BIN, Stack, free_ports
from tests.waiting import wait_for

CONFIG = str(ROOT / "infra" / "litestream" / "litestream.yml")


class Copies:
    """Litestream with the configuration that is shipped."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._folder = folder
        self._journal = stack.settings["JOURNAL_PATH"]
        self.url = f"file://{folder}/copy"
        self._address = f"127.0.0.1:{free_ports(1)[0]}"
        own = {"JOURNAL_PATH": self._journal, "REPLICA_URL": self.url, "LITESTREAM_ADDR": self._address}
        self._environ = os.environ | own

    @contextmanager
    def running(self) -> Iterator[None]:
        command = [str(BIN / "litestream"), "replicate", "-config", CONFIG]
        with (self._folder / "litestream.log").open("wb") as log:
            process = subprocess.Popen(command, env=self._environ, stdout=log, stderr=log, umask=0o077)
        try:
            yield
        finally:
            process.kill()
            process.wait(20)

    def read_metrics(self) -> str:
        """Read what the rules of ReplicaBehind read."""
        return requests.get(f"http://{self._address}/metrics", timeout=60).text

    def restore(self, file: Path) -> int:
        """Restore the newest state, and return its last seq; 0 when there is none yet."""
        file.unlink(missing_ok=True)
        command = [str(BIN / "litestream"), "restore", "-config", CONFIG, "-o", str(file), self._journal]
        done = subprocess.run(command, env=self._environ, capture_output=True, check=False, umask=0o077, timeout=100)
        if done.returncode != 0:
            return 0
        # Not opened as a journal: that would be the start of its use.
        with Journal(file) as journal:
            return journal.last_seq()


def test_a_stack_whose_disk_is_lost_runs_again_from_the_copy(cold: Stack, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    cold.settings |= {"JOURNAL_PATH": str(disk / "journal.db"), "SNAPSHOT_PATH": str(disk / "snapshot")}
    copies = Copies(cold, tmp_path)
    cold.settings["REPLICA_URL"] = copies.url

    def lacks_something() -> bool:
        """Return whether the alert ReplicaBehind would fire after its time."""
        samples = {name: value for (name, _), value in cold.samples().items()}
        return samples["sidecar_journal_timestamp_seconds"] - samples["sidecar_replica_timestamp_seconds"] > 0.001

    cold.start().accept(20)
    assert lacks_something()
    with copies.running():
        wait_for(lambda: copies.restore(tmp_path / "tried.db") >= 20, "the first trades are in the copy", every=0.2)
        wait_for(lambda: not lacks_something(), "the sidecar sees that the copy lacks nothing")
        # It counts no writes to a folder; the rules of ReplicaBehind are for those that it counts.
        metrics = copies.read_metrics()
        assert ("litestream_txid{" in metrics, "litestream_replica_operation_total{" in metrics) == (True, False)
        with cold.under_trades(rate=100):
            wait_for(lambda: cold.journalled() >= 100, "more trades are accepted")
    cold.accept(1)
    assert lacks_something()
    accepted = cold.journalled()
    for name in ("web", "sidecar"):
        cold.find(name).kill()
    cold.stop(seconds=30)
    shutil.rmtree(disk)

    begun = time.monotonic()
    kept = copies.restore(tmp_path / "back.db")
    disk.mkdir()
    done = cold.run_cli("restore", str(tmp_path / "back.db"))
    assert done.returncode == 0, done.stderr
    cold.start()
    sys.stdout.write(f"lost {accepted - kept} of {accepted}; back in {time.monotonic() - begun:.1f} s\n")

    assert 20 <= kept <= accepted
    cold.accept(3)
    cold.wait_counted(kept + 3, 60)
    copied = [path for path in (tmp_path / "copy").rglob("*") if path.is_file()]
    assert copied
    assert {path.stat().st_mode & 0o077 for path in copied} == {0}

"""Through the real nginx, over TLS and HTTP/2, while nginx and the workers are replaced: nothing is lost."""

import csv
import io
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from common.journal.store import Journal
from tests.system.load import Load
from tests.system.nginx import Nginx
from tests.system.stack import Stack
from tests.system.test_nginx import NAMES
from tests.waiting import wait_for


class Feed:
    """Reads the feed over HTTP/2, and connects again after the last id, as a browser does."""

    def __init__(self, nginx: Nginx) -> None:
        self.ids: list[int] = []
        self.protocols: set[str] = set()
        self._nginx = nginx
        self._stopping = False
        self._thread = threading.Thread(target=self._run)
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        if self._process is not None:
            self._process.kill()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._stopping:
            after = self.ids[-1] if self.ids else 0
            command = [*self._nginx.write_curl(f"/feed?after={after}"), "--include"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as self._process:
                assert self._process.stdout
                for line in self._process.stdout:
                    if line.startswith("HTTP/"):
                        self.protocols.add(line.split()[0])
                    if line.startswith("id:"):
                        self.ids.append(int(line[3:]))


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path, AUTH="off", TRUSTED_PROXIES="127.0.0.1", ALLOWED_HOSTS=NAMES) as stack:
        yield stack.start()


def test_nothing_is_lost_while_nginx_and_the_workers_are_replaced(stack: Stack, tmp_path: Path) -> None:
    with Nginx(tmp_path, stack.settings["WEBAPP_HTTP_PORT"]) as nginx, Feed(nginx) as feed:
        with Load(stack, nginx.url, nginx.connect) as load:
            load.wait_more(20)
            old = stack.workers()
            for replace in (nginx.reload, lambda: stack.find("web").send_signal(signal.SIGHUP), nginx.reload):
                replace()
                load.wait_more(20)
            wait_for(lambda: not old & stack.workers(), "the workers are replaced", 120)
            load.wait_more(20)
            command = [*nginx.write_curl("/blotter.csv"), "--fail", "--write-out", "%{stderr}%{http_version}"]
            download = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        count = len(load.accepted)
        wait_for(lambda: len(feed.ids) >= count, "the feed has all", 60)
    stack.wait_counted(count, 60)
    with Journal(Path(stack.settings["JOURNAL_PATH"])) as journal:
        events = journal.read_after(0, 1_000_000)
    # Lost 0, twice 0: in the journal, the counters and the feed.
    assert sorted(event.id for event in events) == sorted(load.accepted.values())
    assert load.fell == []
    assert feed.ids == list(range(1, count + 1))
    assert feed.protocols == {"HTTP/2"}
    # The trades that there were when it began, each once.
    rows = [row["seq"] for row in csv.DictReader(io.StringIO(download.stdout))]
    assert download.stderr == "2"
    assert len(rows) == len(set(rows)) >= 100

"""What the measurements run in processes of their own, on small numbers: it must fit the product of this checkout."""

import os
from pathlib import Path

import pytest

from bench.measures.count import COUNT
from bench.measures.memory import MEMORY
from bench.probes.fill import fill
from bench.processes import count_rows, run_probe
from bench.profiles import Role, write_functions, write_profile
from bench.prometheus_peer import count
from bench.statsd_peer import make_datagrams
from bench.ways import Push, check_same, read_acks
from relay.setup import set_up
from tests.conftest import ROOT, require
from tests.relay.stream_parts import pulling, wait_same
from tests.system.nats_server import Nats
from tests.waiting import wait_for


def test_the_step_of_the_sidecar_counts_every_trade() -> None:
    assert run_probe(ROOT, "messages", "count", 10, 100)["counted"] == 100


def test_prometheus_client_counts_every_trade() -> None:
    assert count(10, 100)["counted"] == 100


def test_a_journal_is_filled(tmp_path: Path) -> None:
    run_probe(ROOT, "fill", tmp_path / "journal.db", 30_000, 7)
    assert count_rows(tmp_path / "journal.db") == 30_000


def test_a_journal_is_replayed(tmp_path: Path) -> None:
    run_probe(ROOT, "fill", tmp_path / "journal.db", 1_000, 7)
    assert run_probe(ROOT, "replay", tmp_path / "journal.db")["counted"] == 1_000


def test_a_push_notes_each_acknowledgement_and_the_journals_are_compared(tmp_path: Path) -> None:
    host, hub = tmp_path / "host.db", tmp_path / "hub.db"
    fill(host, 1_000, 7)
    with Nats(tmp_path / "nats") as nats:
        assert set_up(nats.make_settings(host)) == []
        push = Push("push", nats.list_settings() | {"JOURNAL_PATH": str(host)}, tmp_path / "push.log")
        try:
            wait_for(lambda: len(read_acks(host)) >= 2, "two messages are acknowledged")
        finally:
            push.end()
        assert all(0 < seconds < 60 for seconds in read_acks(host))
        with pulling(nats.make_settings(hub)):
            wait_same(host, hub)
    check_same(host, hub, 1_000)
    with pytest.raises(AssertionError, match="trades at the hub: 1,000; expected 1,001"):
        check_same(host, hub, 1_001)
    fill(host, 1, 7)
    with pytest.raises(AssertionError, match="trade 1001 of the hub is not that of the host"):
        check_same(host, hub, 1_001)


def test_a_profile_names_functions_by_their_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    require("root" if os.geteuid() == 0 else None, "the permission to look at other processes")
    monkeypatch.setattr("bench.profiles.SECONDS", 0.1)
    profile = write_profile(COUNT)
    assert "The step of counting, " in profile
    assert "The sidecar, " in profile
    assert "| `common.wire.hints.decode_bodies` |" in profile
    assert "make_event" not in profile
    assert str(ROOT) not in profile
    assert write_profile(MEMORY) == ""


def test_a_profile_has_the_time_of_functions_and_of_their_packages() -> None:
    stacks = {"main (a/b.py:1);send (gevent/socket.py:7)": 3, "loads (json/__init__.py:2)": 1}
    written = write_functions(Role("the web processes", ()), stacks)
    assert written.startswith("The web processes, 4 samples: gevent 75%, json 25%.\n")
    assert "| 75% | `gevent.socket.send` |\n| 25% | `json.__init__.loads` |" in written


def test_a_probe_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="fill: ValueError: invalid literal"):
        run_probe(ROOT, "fill", tmp_path / "journal.db", "many", 7)


def test_a_trade_is_three_lines_of_a_datagram() -> None:
    (datagram,) = make_datagrams(100, 2)
    assert [line.partition(b"|")[0].split(b":")[0] for line in datagram.splitlines()] == [
        *(b"trades", b"quantity", b"notional"),
        *(b"trades", b"quantity", b"notional"),
    ]

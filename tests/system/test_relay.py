"""A hub that pulls a host over HTTP: real processes, of which any may be killed or frozen at any moment."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest
import requests

from common.journal.store import Journal
from tests.conftest import ROOT, append, make_trade
from tests.system.relay import Relay, find_journal, read_ids
from tests.system.stack import TRADE, Stack
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("host"), WEB_CONCURRENCY="1") as stack:
        yield stack.start("web")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("hub"), WEB_CONCURRENCY="1") as stack:
        yield stack


@pytest.fixture(scope="module")
def relay(host: Stack, hub: Stack) -> Iterator[Relay]:
    relay = Relay(hub, [host])
    yield relay
    relay.end()


def add(host: Stack, count: int) -> None:
    with Journal(find_journal(host)) as journal:
        append(journal, [make_trade(price=str(n + 1)) for n in range(count)])


def test_a_hub_has_the_trades_of_its_host_through_kills_and_freezes(host: Stack, hub: Stack, relay: Relay) -> None:
    wait_for(relay.is_ready, "the relay is ready")
    for fault in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM):
        add(host, 1500)
        before = hub.journalled()
        wait_for(lambda before=before: hub.journalled() > before, "some have arrived")  # type: ignore[misc]
        assert relay.end(fault) == (0 if fault == signal.SIGTERM else -9)
        relay.start()
    web = host.find("web")
    frozen = [web, *web.children()]
    for each in frozen:
        each.suspend()
    add(host, 1000)
    for each in frozen:
        each.resume()
    wait_for(lambda: hub.journalled() == 5500, "all have arrived")
    assert read_ids(hub) == read_ids(host)


def test_the_hubs_own_stack_counts_shows_and_audits_them_and_takes_none(host: Stack, hub: Stack, relay: Relay) -> None:
    hub.start()
    add(host, 10)
    total = len(read_ids(host))
    hub.wait_counted(total, 60)
    assert hub.total("trading_host_trades_total") == total
    page = requests.get(f"{hub.web_url}/trades", params={"limit": 1000}, timeout=20).json()
    with Journal(find_journal(host)) as journal:
        host_id = journal.journal_id
        newest = journal.last_seq()
    assert {trade["host_journal_id"] for trade in page["trades"]} == {host_id}
    assert [trade["host_seq"] for trade in page["trades"]] == list(range(newest - 999, newest + 1))
    with requests.get(f"{hub.web_url}/feed", params={"after": total - 1}, stream=True, timeout=20) as feed:
        lines = (line for line in feed.iter_lines(chunk_size=1) if line.startswith(b"data: {") and b'"seq"' in line)
        assert json.loads(next(lines).removeprefix(b"data: "))["host_seq"] == newest
    rejected = hub.post(TRADE)
    assert (rejected.status_code, rejected.json()["reason"]) == (403, "hub")
    audit = hub.run_cli("audit")
    assert audit.returncode == 0, audit.stdout + audit.stderr
    metrics = requests.get(f"{relay.url}/metrics", timeout=20).text
    assert f'relay_last_seq{{direction="pull",journal_id="{host_id}"}} {float(newest)}' in metrics


def test_the_tokens_of_the_hosts_are_in_no_log_answer_environment_or_command(hub: Stack, relay: Relay) -> None:
    tokens = [line.split()[1] for line in (hub.folder / "tokens").read_text().splitlines()]
    answers = [requests.get(f"{relay.url}{path}", timeout=20).text for path in ("/", "/metrics", "/readyz", "/x")]
    process = psutil.Process(relay.process.pid)
    shown = [*answers, relay.log.read_text(), str(process.environ()), str(process.cmdline())]
    assert tokens
    assert [token for token in tokens if any(token in text for text in shown)] == []


def test_skipping_says_what_it_did(hub: Stack, host: Stack, relay: Relay) -> None:
    command = [sys.executable, "-m", "relay", "skip", host.web_url]
    ended = subprocess.run(
        command, cwd=ROOT, env=relay.environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("Nothing is skipped: the hub has all trades")
    assert hub.journalled() == len(read_ids(hub))


def test_a_second_relay_and_a_journal_with_trades_of_its_own_are_refused_in_one_line(host: Stack, relay: Relay) -> None:
    for settings, reason in (
        ({}, "in_use"),
        ({"JOURNAL_PATH": host.settings["JOURNAL_PATH"]}, "trades"),
    ):
        ended = relay.run_another(**settings)
        (line,) = ended.stderr.splitlines()
        assert (ended.returncode, json.loads(line)["reason"]) == (1, reason)

"""``doctor`` names what is wrong with the relay of a hub, and with that of a host that pushes."""

import socket
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from common import __version__
from common.settings import Settings
from tests.conftest import JOURNAL_ID
from tests.system.stack import free_ports
from tests.webapp.answers import serving
from tests.webapp.cli.test_doctor import run_doctor

HTTP = {"relay_http_hosts": ("https://a.example", "https://b.example")}
NAMES = {"relay_host_names": {"berlin": JOURNAL_ID}}


def expose(direction: str = "pull", *differs: str, version: str = __version__, age: float = 5, **changes: float) -> str:
    values = {"last_seq": 7.0, "journal_last_seq": 9.0, "lag_seconds": 0.0}
    values |= {"host_last_seen_timestamp_seconds": time.time() - age} | changes
    lines = [f'relay_build_info{{version="{version}"}} 1']
    for name, value in values.items():
        own = f'{{direction="{direction}",journal_id="{JOURNAL_ID}"}}'
        lines += [f"# TYPE relay_{name} gauge", f"relay_{name}{own} {value}"]
    lines.append("# TYPE relay_stream_differs gauge")
    lines += [f'relay_stream_differs{{direction="{direction}",setting="{name}"}} 1' for name in differs]
    return "".join(f"{line}\n" for line in lines)


def answer(ready: object = None, metrics: object = expose) -> Mapping[str, Any]:
    return {
        "/healthz": {"status": "alive"},
        "/readyz": ready or {"status": "ready"},
        # A time that was taken when the tests were collected would be minutes old in a whole run.
        "/metrics": metrics() if callable(metrics) else metrics,
    }


def read_line(printed: str, what: str) -> tuple[str, str]:
    """Return what was found and what to do."""
    found, _, rest = printed.partition(what)[2].partition("\n")
    return found, rest.partition("\n")[0]


def run_beside(fresh: Settings, answers: Mapping[str, Any], **settings: object) -> tuple[int, str]:
    with serving(answers) as port:
        return run_doctor(fresh, relay_http_port=port, **(settings or HTTP))


def test_without_a_relay_nothing_is_said_of_one(fresh: Settings) -> None:
    assert " relay " not in run_doctor(fresh)[1]


def test_a_relay_that_passes_trades_is_well(fresh: Settings) -> None:
    code, printed = run_beside(fresh, answer(), **HTTP, **NAMES)
    assert code == 0, printed
    assert "ok    relay            trades pass at http://127.0.0.1:" in printed
    found = f"berlin ({JOURNAL_ID}) has passed up to seq 7, 2 trades wait; last seen "
    assert f"ok    relay's host     {found}" in printed


def test_a_relay_that_does_not_run_beside_a_stack_that_does_is_a_failure(fresh: Settings) -> None:
    (port,) = free_ports(1)
    code, printed = run_doctor(fresh, **HTTP, relay_http_port=port)
    assert code == 0, printed
    assert read_line(printed, "note  relay ")[1].endswith("→ start it: .venv/bin/python -m relay pull")
    with serving({"/healthz": {"status": "alive"}, "/readyz": {"status": "ready"}}) as web:
        code, printed = run_doctor(fresh, **HTTP, relay_http_port=port, webapp_http_port=web)
    assert code == 1
    assert "nothing listens at" in read_line(printed, "FAIL  relay ")[0]


@pytest.mark.parametrize(
    ("detail", "todo"),
    [
        ("https://a.example: tls: it has expired", "runbook relay-disconnected"),
        ("https://a.example: pruned: seq 3", "runbook relay-pruned"),
        ("https://a: unreachable: gone; https://b: pruned: seq 3", "relay-disconnected; see the runbook relay-pruned"),
        ("unreachable: connecting: refused", "runbook relay-disconnected"),
        ("access: Permissions Violation for Publish", "its user and rights at the stream"),
        ("stream: publishing: no stream TRADES answers", "-m relay setup"),
        ("full: publishing: maximum bytes exceeded", "runbook relay-stream-full"),
        ("conflict: seq 6 is the trade a, another than b", "runbook relay-conflict"),
        (f"{JOURNAL_ID}: seq 6 is another trade than the hub has", "runbook relay-conflict"),
        (f"{JOURNAL_ID}: a batch follows seq 9, the hub has those up to 5", "runbook relay-rewinds"),
    ],
)
def test_why_a_relay_is_not_ready_is_said_with_what_to_do(fresh: Settings, detail: str, todo: str) -> None:
    code, printed = run_beside(fresh, answer((503, {"detail": detail})))
    found, do = read_line(printed, "FAIL  relay ")
    assert (code, detail in found, todo in do) == (1, True, True), printed


@pytest.mark.parametrize(
    ("metrics", "what", "found", "todo"),
    [
        (partial(expose, version="0.0.9"), "FAIL  relay ", "it is version 0.0.9", "finish the update"),
        ((401, {"detail": "no token"}), "FAIL  relay ", "no token", "SIDECAR_TOKEN_FILE"),
        (partial(expose, age=90), "FAIL  relay's host ", "last seen ", "silent"),
        (partial(expose, "push", lag_seconds=75), "FAIL  relay's host ", "2 trades wait; last seen", "relay-lags"),
        (partial(expose, "pull", "discard", "max_age"), "FAIL  stream ", "may lose trades: discard", "relay setup"),
    ],
)
def test_what_the_metrics_say_is_a_failure(fresh: Settings, metrics: object, what: str, found: str, todo: str) -> None:
    code, printed = run_beside(fresh, answer(metrics=metrics))
    line, do = read_line(printed, what)
    assert (code, found in line, todo in do) == (1, True, True), printed


@pytest.mark.parametrize(
    ("metrics", "what"),
    [
        (
            partial(expose, "pull", "max_age"),
            "note  stream           it differs from the settings here: max_age (RELAY_",
        ),
        (partial(expose, host_last_seen_timestamp_seconds=0), "note  relay's host "),
        # A host without new trades has no other sign than its heartbeat; its own relay does not wait for itself.
        (partial(expose, "push", age=90), "ok    relay's host "),
    ],
)
def test_what_may_be_so_is_no_failure(fresh: Settings, metrics: object, what: str) -> None:
    code, printed = run_beside(fresh, answer(metrics=metrics))
    assert (code, what in printed) == (0, True), printed


def test_another_program_at_the_relays_port_is_named(fresh: Settings) -> None:
    code, printed = run_beside(fresh, {"/healthz": {"status": "of another program"}})
    assert code == 1
    assert "another program listens at" in read_line(printed, "FAIL  relay ")[0]


def test_a_relay_that_listens_and_is_silent_may_be_stopped(fresh: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webapp.cli.client._TIMEOUT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code, printed = run_doctor(fresh, **HTTP, relay_http_port=silent.getsockname()[1])
    found, do = read_line(printed, "FAIL  relay ")
    assert (code, "and does not answer" in found, "kill -CONT" in do) == (1, True, True), printed


def test_each_server_of_nats_that_is_not_reached_is_named(fresh: Settings) -> None:
    (gone,) = free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = f"nats://127.0.0.1:{server.getsockname()[1]}"
        settings = {"relay_transport": "nats", "relay_nats_url": (there,)}
        code, printed = run_beside(fresh, answer(), **settings)
        assert (code, f"ok    NATS             reached: {there}" in printed) == (0, True), printed
        settings["relay_nats_url"] = (there, f"nats://127.0.0.1:{gone}")
        code, printed = run_beside(fresh, answer(), **settings)
    assert (code, "ok    NATS" in printed) == (1, False), printed
    assert f"nats://127.0.0.1:{gone} is not reached" in read_line(printed, "FAIL  NATS ")[0]
    code, printed = run_beside(fresh, answer(), relay_transport="nats")
    assert (code, "RELAY_NATS_URL is empty" in read_line(printed, "FAIL  NATS ")[0]) == (1, True)

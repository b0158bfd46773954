"""The workers' metrics across recycling and restarts, and many series."""

import contextlib
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from common.wire import messages
from common.wire.worker_totals import MetricTotals, WorkerTotals
from tests.conftest import name_worker
from tests.system.faults.client import CounterMonitor
from tests.system.prometheus import Prometheus
from tests.system.stack import TRADE, Stack
from tests.waiting import wait_for
from tests.worker_totals import count_requests, count_seconds, gauge, observe

CLIENTS = 4


def send_requests(stack: Stack, count: int, half: threading.Barrier) -> int:
    """Request /healthz ``count`` times, and return the number of responses. Waits at the barrier half-way."""
    answered = 0
    with requests.Session() as session:
        for number in range(count):
            if number == count // 2:
                half.wait(60)
            while True:
                try:
                    answered += session.get(f"{stack.web_url}/healthz", timeout=60).ok
                    break
                except requests.ConnectionError:
                    pass
    return answered


def count_answers(stack: Stack) -> float:
    return stack.total("webapp_http_requests_total", route="/healthz", status="200")


def test_no_counter_falls_when_workers_are_recycled_and_the_sidecar_is_killed(tmp_path: Path) -> None:
    with Stack(tmp_path, WEB_CONCURRENCY="4", GUNICORN_CMD_ARGS="--max-requests 100") as stack:
        stack.start("web")
        stack.start("sidecar")
        half = threading.Barrier(CLIENTS + 1)
        with (
            CounterMonitor(int(stack.settings["SIDECAR_HTTP_PORT"]), every=0.05) as monitor,
            ThreadPoolExecutor(CLIENTS) as clients,
        ):
            answers = [clients.submit(send_requests, stack, 500, half) for _ in range(CLIENTS)]
            half.wait(60)
            stack.find("sidecar").kill()
            stack.stop("sidecar")
            stack.start("sidecar")
            before = count_answers(stack)
            answered = sum(answer.result() for answer in answers)
            requests.get(f"{stack.web_url}/healthz", timeout=60)
            wait_for(lambda: count_answers(stack) > before, "counting continues")
        assert answered == CLIENTS * 500
        assert (monitor.decreased, monitor.disappeared) == ([], [])
        # Never more than were answered; fewer, since workers ended while the sidecar was away.
        assert 0 < count_answers(stack) <= answered + 1


def test_a_worker_that_ended_stays_counted_and_is_not_counted_again(cold: Stack) -> None:
    cold.start()
    ended = cold.workers()
    for _ in range(20):
        requests.get(f"{cold.web_url}/healthz", timeout=60)
    wait_for(lambda: count_answers(cold) == 20, "the requests are counted")
    cold.find("web").send_signal(signal.SIGHUP)
    wait_for(lambda: len(cold.workers() - ended) == 2 and not cold.workers() & ended, "the workers are replaced")
    for _ in range(5):
        requests.get(f"{cold.web_url}/healthz", timeout=60)
    wait_for(lambda: count_answers(cold) == 25, "the new workers' requests are added")
    wait_for(lambda: cold.total("webapp_workers") == 2, "the new workers are active")
    cold.find("sidecar").kill()
    cold.stop("")
    cold.start()
    wait_for(lambda: count_answers(cold) == 25, "a snapshot has them")


def test_a_killed_worker_loses_only_what_it_had_not_reported(cold: Stack) -> None:
    cold.start()
    for _ in range(20):
        cold.post({"symbol": ""})

    def count() -> float:
        return cold.total("webapp_trades_rejected_total", reason="invalid")

    wait_for(lambda: count() == 20, "the rejections are counted")
    killed = cold.workers()
    for worker in killed:
        worker.kill()
    wait_for(lambda: len(cold.workers() - killed) == 2, "new workers are running")

    def is_rejected() -> bool:
        # A connection to a killed worker fails only when it is used.
        with contextlib.suppress(requests.RequestException):
            return cold.post({"symbol": ""}).status_code == 422
        return False

    wait_for(is_rejected, "a new worker answers")
    wait_for(lambda: count() == 21, "counting continues")


def test_symbols_over_the_limit_are_counted_as_other_live_and_on_recount(tmp_path: Path) -> None:
    with Stack(tmp_path, SYMBOL_LIMIT="200") as stack:
        stack.start()
        for number in range(500):
            assert stack.post(symbol=f"S{number}").status_code == 201
        stack.wait_counted(500)
        live = {key: value for key, value in stack.samples().items() if key[0].startswith("trading_trades")}
        assert sum(live.values()) == 500
        assert stack.total("trading_trades_total", symbol="other") == 300
        assert len(live) == 2 * 201
        wait_for(lambda: "symbol limit exceeded" in stack.log.read_text(), "the log names the symbols")
        stack.stop()
        for snapshot in tmp_path.glob("snapshot*"):
            snapshot.unlink()
        stack.start()
        recounted = {key: value for key, value in stack.samples().items() if key[0].startswith("trading_trades")}
        assert recounted == live


DELAY = "trading_event_delay_seconds_bucket"
DURATION = "webapp_http_request_duration_seconds_bucket"


def test_a_slow_bucket_has_an_exemplar_with_its_request_id(cold: Stack) -> None:
    cold.start()
    with Prometheus(cold.folder, cold.settings["SIDECAR_HTTP_PORT"]) as prometheus:

        def accept_until_live(name: str, query: str) -> bool:
            url = f"{cold.web_url}/trade"
            # A new socket may lose its first hints, and only live events have a delay.
            requests.post(url, json=TRADE, headers={"X-Request-ID": name}, timeout=60)
            return name in prometheus.ask_exemplars(query)

        wait_for(lambda: accept_until_live("desk-delay", DELAY), "the delay has an exemplar", every=0.2)
        route = f'{DURATION}{{method="POST",route="/trade"}}'
        wait_for(lambda: accept_until_live("desk-duration", route), "the duration has an exemplar", every=0.2)
    text = requests.get(f"{cold.sidecar_url}/metrics", timeout=60).text
    assert DELAY in text
    assert "desk-d" not in text


@pytest.mark.parametrize(
    "metrics",
    [
        [count_seconds(10**15)],
        [count_requests({"GET /\x00 200": 1})],
        [count_requests({f"GET /{n} 200": 1 for n in range(501)})],
        [gauge("trading_trades", 1)],
        [observe("GET /", 0.5, request_id='x"} 1 # {y="')],
    ],
    ids=[
        "above the maximum",
        "a route that no worker has",
        "too many series",
        "a name of the sidecar",
        "a forged exemplar",
    ],
)
def test_impossible_totals_are_rejected_and_counted(cold: Stack, metrics: list[MetricTotals]) -> None:
    cold.start("sidecar")
    totals = WorkerTotals(name_worker(1), 1, ended=True, metrics=metrics)
    with cold.peer() as socket:

        def is_rejected() -> bool:
            socket.send_multipart(messages.encode_report(totals))
            return cold.total("sidecar_messages_rejected_total", reason="body") > 0

        wait_for(is_rejected, "the totals are rejected", every=0.1)
    assert cold.total("webapp_process_cpu_seconds_total") == 0
    assert cold.total("webapp_http_requests_total") == 0
    assert cold.total("sidecar_snapshot_failures_total") == 0

"""Slow and idle clients are disconnected in time, and do not affect others."""

import contextlib
import http.client
import json
import random
import resource
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from common.journal.store import Journal
from tests.conftest import ROOT, append, make_trade, require
from tests.system.stack import BIN, Stack
from tests.waiting import wait_for

SILENT = 2050
HEAD = b"POST /trade HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 90\r\n"


def address_of(stack: Stack) -> tuple[str, int]:
    return "127.0.0.1", int(stack.settings["WEBAPP_HTTP_PORT"])


@contextlib.contextmanager
def connections(address: tuple[str, int], count: int, send: bytes) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as held:
        opened = []
        for _ in range(count):
            opened.append(held.enter_context(socket.create_connection(address, 5)))
            opened[-1].sendall(send)
            opened[-1].settimeout(15)
        yield opened


def answer(client: socket.socket) -> tuple[int, dict[str, str]]:
    with http.client.HTTPResponse(client) as response:
        response.begin()
        return response.status, json.loads(response.read())


def is_closed(client: socket.socket) -> bool:
    try:
        return client.recv(1 << 20) == b""
    except ConnectionResetError:
        return True


def logged(stack: Stack, message: str) -> list[dict[str, str]]:
    lines = [line.partition(" | ")[2] or line for line in stack.log.read_text().splitlines()]
    found = [json.loads(line) for line in lines if f'"{message}"' in line]
    return [line for line in found if line["message"] == message]


@pytest.fixture(scope="module")
def short_timeout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Yield a running stack with a body timeout of one second."""
    with Stack(tmp_path_factory.mktemp("stack"), BODY_TIMEOUT="1") as stack:
        yield stack.start()


def test_missing_bodies_do_not_block_others_and_get_408(cold: Stack) -> None:
    require("enough" if resource.getrlimit(resource.RLIMIT_NOFILE)[1] > SILENT + 500 else None, "file descriptors")
    cold.settings["BODY_TIMEOUT"] = "4"
    cold.start()
    with connections(address_of(cold), SILENT, HEAD + b"\r\n") as silent:
        for _ in range(20):
            cold.renew()
            assert cold.post().status_code == 201
        for client in silent:
            status, problem = answer(client)
            assert (status, problem["reason"]) == (408, "request_timeout")
            assert is_closed(client)
    wait_for(lambda: cold.total("webapp_trades_rejected_total", reason="request_timeout") == SILENT, "each is counted")
    lines = [line for line in logged(cold, "request") if line.get("reason") == "request_timeout"]
    assert len({line["request_id"] for line in lines}) == len(lines) == SILENT
    assert "Traceback" not in cold.log.read_text()


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 64\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n40\r\n"], ids=["length", "chunked"]
)
def test_the_deadline_applies_to_the_whole_body(short_timeout: Stack, framing: bytes) -> None:
    head = b"POST /trade HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with connections(address_of(short_timeout), 1, head + framing) as (client,):
        client.settimeout(0.1)
        # A byte at least every 0.1 s: a deadline for each read would never pass.
        for _ in range(50):
            with contextlib.suppress(TimeoutError):
                if client.recv(1, socket.MSG_PEEK):
                    break
            client.sendall(b" ")
        else:
            pytest.fail("no deadline passed while the body arrived slowly")
        client.settimeout(5)
        status, problem = answer(client)
    assert (status, problem["reason"], problem["title"]) == (408, "request_timeout", "Request Timeout")


def test_a_form_without_its_body_gets_408(short_timeout: Stack) -> None:
    head = HEAD.replace(b"application/json", b"application/x-www-form-urlencoded")
    with connections(address_of(short_timeout), 1, head + b"\r\n") as (client,):
        assert answer(client)[0] == 408


def test_a_body_that_no_route_reads_is_not_awaited_longer(short_timeout: Stack) -> None:
    head = HEAD.replace(b"/trade", b"/nowhere")
    with connections(address_of(short_timeout), 1, head + b"\r\n") as (client,):
        assert answer(client)[0] == 404
        assert is_closed(client)


def test_a_slow_body_within_the_deadline_is_accepted(short_timeout: Stack) -> None:
    body = json.dumps({"symbol": "SLOW", "side": "BUY", "price": "1", "qty": "1"}).encode()
    head = HEAD.replace(b"90", str(len(body)).encode())
    with connections(address_of(short_timeout), 1, head + b"\r\n") as (client,):
        for start in range(0, len(body), 10):
            client.sendall(body[start : start + 10])
            time.sleep(0.05)
        assert answer(client)[0] == 201


def test_a_slow_request_head_gets_408_and_is_counted_and_logged(short_timeout: Stack) -> None:
    before = short_timeout.total("webapp_connections_dropped_total", reason="head_timeout")
    with connections(address_of(short_timeout), 3, HEAD) as clients:
        for client in clients:
            status, problem = answer(client)
            assert (status, problem["reason"]) == (408, "head_timeout")
            assert is_closed(client)
    wait_for(
        lambda: short_timeout.total("webapp_connections_dropped_total", reason="head_timeout") == before + 3,
        "they are counted",
    )
    assert any(line["reason"] == "head_timeout" for line in logged(short_timeout, "connection dropped"))


def test_a_connection_without_a_request_is_closed_without_a_response(short_timeout: Stack) -> None:
    with connections(address_of(short_timeout), 1, b"") as (client,):
        assert is_closed(client)


def test_a_response_that_is_not_read_is_aborted_and_a_slow_reader_gets_all_of_it(short_timeout: Stack) -> None:
    with Journal(Path(short_timeout.settings["JOURNAL_PATH"])) as journal:
        # More than the socket buffers hold.
        while journal.last_seq() < 60_000:
            append(journal, [make_trade() for n in range(5000)])
    request = b"GET /blotter.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.socket() as stalled, socket.socket() as slow:
        for client in (stalled, slow):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
            client.connect(address_of(short_timeout))
            client.settimeout(20)
            client.sendall(request)
        with http.client.HTTPResponse(slow) as response:
            response.begin()
            body = b"".join(iter(lambda: _take(response), b""))
        assert len(json.loads(body)) >= 60_000
        wait_for(
            lambda: short_timeout.total("webapp_connections_dropped_total", reason="write_timeout") == 1,
            "the stalled connection is dropped",
        )
        wait_for(lambda: is_closed(stalled), "it is reset")
    assert "Traceback" not in short_timeout.log.read_text()


def _take(response: http.client.HTTPResponse, pause: float = 0.004) -> bytes:
    time.sleep(pause)
    return response.read(16 * 1024)


def test_every_series_starts_at_0(cold: Stack) -> None:
    cold.start()
    reasons = ("head_timeout", "write_timeout", "address_limit", "worker_limit", "file_descriptors")
    zero = dict.fromkeys((("webapp_connections_dropped_total", frozenset({("reason", each)})) for each in reasons), 0)
    wait_for(lambda: zero.items() <= cold.samples().items(), "every reason is shown at 0")
    with connections(address_of(cold), 7, b""):
        wait_for(lambda: cold.total("webapp_connections") >= 7, "the open connections are shown")


def test_clients_that_post_every_five_seconds_keep_their_connections(shared: Stack) -> None:
    pauses = random.Random(13)
    failed: list[Exception] = []

    def post_repeatedly(first: float, pauses: list[float]) -> None:
        connection = http.client.HTTPConnection(*address_of(shared), timeout=60)
        try:
            for pause in (first, *pauses):
                time.sleep(pause)
                body = json.dumps({"symbol": "BOT", "side": "BUY", "price": "1", "qty": "1"})
                connection.request("POST", "/trade", body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                response.read()
                # http.client reopens a closed connection silently, so check that it is still open.
                assert (response.status, connection.sock is not None) == (201, True)
        except Exception as error:  # noqa: BLE001 - any failure of any client
            failed.append(error)
        finally:
            connection.close()

    posters = [
        threading.Thread(target=post_repeatedly, args=(pauses.random(), [pauses.uniform(4.9, 5.1) for _ in range(2)]))
        for _ in range(20)
    ]
    for poster in posters:
        poster.start()
    for poster in posters:
        poster.join()
    assert failed == []
    shared.wait_counted(60)


def test_a_stop_closes_idle_connections_and_answers_requests_in_progress(cold: Stack) -> None:
    cold.start("web")
    body = json.dumps({"symbol": "LATE", "side": "BUY", "price": "1", "qty": "1"}).encode()
    head = HEAD.replace(b"90", str(len(body)).encode())
    with connections(address_of(cold), 50, b"") as idle, connections(address_of(cold), 4, head + b"\r\n") as busy:
        web = cold.find("web")
        web.terminate()
        wait_for(lambda: all(map(is_closed, idle)), "idle connections are closed")
        for client in busy:
            client.sendall(body)
            assert answer(client)[0] == 201
        assert is_closed(busy[0])
        web.wait(60)
    assert "graceful timeout" not in cold.log.read_text()


@contextlib.contextmanager
def few_descriptors(stack: Stack, limit: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run only the web process, with at most ``limit`` file descriptors."""
    command = ["bash", "-c", f"ulimit -n {limit}; exec {BIN}/gunicorn 'webapp:create_app()'"]
    environ = {"PATH": "/usr/bin:/bin"} | stack.settings
    with stack.log.open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def test_with_64_file_descriptors_it_rejects_excess_connections_and_recovers(cold: Stack) -> None:
    cold.settings |= {"BODY_TIMEOUT": "3", "WEB_CONCURRENCY": "1"}
    with few_descriptors(cold, 64) as process:
        wait_for(lambda: _readyz(cold) == 200, "the web process is ready", 30)
        assert cold.post().status_code == 201
        with connections(address_of(cold), 200, HEAD + b"\r\n") as clients:
            statuses = [answer(client)[0] for client in clients]
            assert set(statuses) == {408, 503}
            assert statuses.count(503) > 100
        cold.renew()
        assert cold.post().status_code == 201
        (worker,) = psutil.Process(process.pid).children()
        wait_for(lambda: worker.num_fds() < 50, "the connections are closed")
    assert "Traceback" not in cold.log.read_text()
    lines = [line for line in logged(cold, "connection dropped") if line["reason"] == "worker_limit"]
    assert 1 <= len(lines) <= 20


def _readyz(stack: Stack) -> int:
    with contextlib.suppress(requests.RequestException):
        return requests.get(f"{stack.web_url}/readyz", timeout=60).status_code
    return 0


def test_a_connection_is_rejected_when_descriptors_run_out(cold: Stack) -> None:
    cold.settings["WEB_CONCURRENCY"] = "1"
    with few_descriptors(cold, 1000) as process:
        wait_for(lambda: _readyz(cold) == 200, "the web process is ready", 30)
        (worker,) = psutil.Process(process.pid).children()
        cold.post()
        cold.renew()
        # Lower the limit to one more than are open, as if the rest were in use.
        worker.rlimit(
            psutil.RLIMIT_NOFILE, (max(int(each.name) for each in Path(f"/proc/{worker.pid}/fd").iterdir()) + 1, 1000)
        )
        with connections(address_of(cold), 20, b"") as clients:
            for client in clients[10:]:
                client.settimeout(5)
                assert answer(client)[0] == 503
        worker.rlimit(psutil.RLIMIT_NOFILE, (1000, 1000))
        assert cold.post().status_code == 201
    assert "Traceback" not in cold.log.read_text()
    assert {line["reason"] for line in logged(cold, "connection dropped")} == {"file_descriptors"}


def test_too_few_descriptors_stop_the_start_in_one_line(cold: Stack) -> None:
    with few_descriptors(cold, 32) as process:
        assert process.wait(60) == 1
    assert "file descriptors" in cold.log.read_text()
    assert cold.log.read_text().count("\n") == 1


def test_connections_per_address_are_limited_and_others_are_served(cold: Stack) -> None:
    found = [
        each.address
        for addresses in psutil.net_if_addrs().values()
        for each in addresses
        if each.family == socket.AF_INET and not each.address.startswith("127.")
    ]
    own = require(found[0] if found else None, "an address that is not loopback")
    cold.settings |= {"WEBAPP_HTTP_HOST": "0.0.0.0", "WEB_CONCURRENCY": "1", "AUTH": "off"}
    cold.start()
    port = address_of(cold)[1]
    with connections((own, port), 150, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") as clients:
        statuses = []
        for client in clients:
            with http.client.HTTPResponse(client) as response:
                response.begin()
                statuses.append(response.status)
        assert statuses == [200] * 100 + [429] * 50
        assert cold.post().status_code == 201
    wait_for(lambda: cold.total("webapp_connections_dropped_total", reason="address_limit") == 50, "each is counted")

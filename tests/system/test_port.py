"""The ZeroMQ port of a running stack, attacked by a web page, peers without the key, and floods of connections."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import zmq

from common.journal.opening import restore
from common.wire import messages
from common.wire.transport import make_key_pair
from common.wire.worker_totals import WorkerTotals
from tests.conftest import make_event, name_worker
from tests.system.stack import Stack
from tests.waiting import wait_for
from tests.worker_totals import count_requests

FLOODS = 20


def forge(stack: Stack) -> list[list[bytes]]:
    """Return messages that would change totals if they were accepted. Each response of the web has the journal's id."""
    journal_id = stack.post().json()["journal_id"]
    last = stack.journalled()
    trades = [make_event(seq, journal_id=journal_id, price="999") for seq in range(last + 1, last + 20)]
    totals = WorkerTotals(name_worker(10**13), 1, metrics=[count_requests({"GET /forged 200": 10**9})])
    return [messages.encode_message(trades), messages.encode_report(totals)]


def as_zmtp_1(messages: list[list[bytes]]) -> bytes:
    """Return messages in the format of ZMTP 1.0, which has no greeting: length, flags, body."""
    frames = b"\x01\x00"
    for message in messages:
        for number, frame in enumerate(message, start=1):
            frames += b"\xff" + (len(frame) + 1).to_bytes(8) + bytes([number < len(message)]) + frame
    return frames


def connect(stack: Stack) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(stack.settings["WEBAPP_ZMQ_ADDR"].rsplit(":", 1)[1])), 10)


def rejected(stack: Stack) -> float:
    return stack.total("sidecar_messages_rejected_total", reason="unauthorised")


def check_unchanged(stack: Stack, trades: int) -> None:
    """Accept trades that get the forged seqs, and check that these are counted, and nothing else."""
    stack.accept(30)
    stack.wait_counted(trades + 30)
    assert stack.total("trading_notional_total") == pytest.approx((trades + 30) * 27123.45 * 0.25)
    assert stack.total("webapp_http_requests_total", route="/forged") == 0
    assert requests.get(f"{stack.sidecar_url}/readyz", timeout=60).status_code == 200


@contextlib.contextmanager
def unauthorised_peer(stack: Stack, *, with_public_key: bool) -> Iterator["zmq.Socket[bytes]"]:
    with stack.peer(authorised=False) as peer:
        if with_public_key:
            own = make_key_pair()
            peer.disconnect(stack.settings["WEBAPP_ZMQ_ADDR"])
            peer.setsockopt(zmq.CURVE_SERVERKEY, stack.key_pair().public.encode())
            peer.setsockopt(zmq.CURVE_PUBLICKEY, own.public.encode())
            peer.setsockopt(zmq.CURVE_SECRETKEY, own.secret.encode())
            peer.connect(stack.settings["WEBAPP_ZMQ_ADDR"])
        yield peer


@pytest.mark.parametrize("with_public_key", [False, True], ids=["without security", "with a key of its own"])
def test_a_peer_without_the_key_changes_no_total(cold: Stack, with_public_key: bool) -> None:  # noqa: FBT001 - pytest's
    cold.start()
    messages = forge(cold)
    with unauthorised_peer(cold, with_public_key=with_public_key) as peer:

        def send() -> bool:
            for message in messages:
                peer.send_multipart(message)
            return rejected(cold) > 0

        wait_for(send, "the peer is disconnected")
        check_unchanged(cold, 1)


def test_a_web_page_changes_no_total(cold: Stack) -> None:
    cold.start()
    forged = as_zmtp_1(forge(cold))
    heads = (
        b"",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1:5555\r\nOrigin: https://page.example\r\nContent-Type: text/plain\r\n\r\n",
    )
    for head in heads:
        with connect(cold) as peer, contextlib.suppress(ConnectionError):
            peer.sendall(head + forged)
            while peer.recv(4096):
                pass
    wait_for(lambda: rejected(cold) == len(heads), "each is counted")
    check_unchanged(cold, 1)
    assert cold.log.read_text().count("Traceback") == 0


def test_floods_are_disconnected_and_use_no_memory(cold: Stack) -> None:
    cold.start().accept(1)
    cold.wait_counted(1)
    sidecar = cold.find("sidecar")
    before = sidecar.memory_info().rss
    sent: list[int] = []
    for _ in range(FLOODS):
        sent.append(0)
        with connect(cold) as peer, contextlib.suppress(OSError):
            while sent[-1] < 64 * 2**20:
                sent[-1] += peer.send(bytes(65_536))
    # The socket buffers take some data before the disconnect is noticed.
    assert max(sent) < 8 * 2**20
    assert sidecar.memory_info().rss - before < 8 * 2**20
    wait_for(lambda: rejected(cold) == FLOODS, "each is counted")
    cold.accept(9)
    cold.wait_counted(10)


def test_a_thousand_idle_connections_do_not_exhaust_file_descriptors(cold: Stack) -> None:
    cold.start().accept(1)
    cold.wait_counted(1)
    sidecar = cold.find("sidecar")
    before = sidecar.memory_info().rss
    with contextlib.ExitStack() as held:
        for _ in range(1000):
            # The sidecar may disconnect it before connect() returns.
            with contextlib.suppress(ConnectionError):
                held.enter_context(connect(cold))
        wait_for(lambda: cold.total("sidecar_messages_rejected_total", reason="crowded") > 0, "the limit is reached")
        cold.accept(9)
        cold.wait_counted(10)
        assert sidecar.memory_info().rss - before < 16 * 2**20
    assert cold.total("sidecar_snapshot_failures_total") == 0
    live = cold.total("sidecar_events_total", source="live")

    def hints_again() -> bool:
        cold.accept(1)
        return cold.total("sidecar_events_total", source="live") > live

    wait_for(hints_again, "hints arrive again")


def test_a_restored_journal_has_another_key_that_its_workers_use(cold: Stack, tmp_path: Path) -> None:
    cold.start().accept(5)
    cold.wait_counted(5)
    old = cold.key_pair()
    copy = tmp_path / "copy.db"
    assert cold.run_cli("backup", str(copy)).returncode == 0
    cold.stop("")
    for file in tmp_path.glob("journal.db*"):
        file.unlink()
    assert cold.run_cli("restore", str(copy)).returncode == 0
    assert cold.key_pair() != old
    cold.start()
    wait_for(lambda: cold.total("webapp_workers") == 2, "workers report")
    live = cold.total("sidecar_events_total", source="live")

    def hinted() -> bool:
        cold.accept(1)
        return cold.total("sidecar_events_total", source="live") > live

    wait_for(hinted, "a hint arrives")


def test_a_sidecar_uses_the_new_key_after_its_journal_is_replaced(cold: Stack, tmp_path: Path) -> None:
    cold.start("web")
    cold.start("sidecar")
    cold.accept(5)
    cold.wait_counted(5)
    path, old = Path(cold.settings["JOURNAL_PATH"]), cold.key_pair()
    assert cold.run_cli("backup", str(tmp_path / "copy.db")).returncode == 0
    cold.stop("web")
    restored = tmp_path / "restored.db"
    restore(tmp_path / "copy.db", restored)
    for file in (Path(f"{path}-wal"), Path(f"{path}-shm")):
        file.unlink(missing_ok=True)
    restored.replace(path)
    wait_for(lambda: "journal replaced; recounting" in cold.log.read_text(), "the sidecar has noticed")
    assert cold.key_pair() != old
    cold.start("web")
    wait_for(lambda: cold.total("webapp_workers") == 2, "workers report")
    live = cold.total("sidecar_events_total", source="live")

    def hinted() -> bool:
        cold.accept(1)
        return cold.total("sidecar_events_total", source="live") > live

    wait_for(hinted, "a hint arrives")
    cold.wait_counted(cold.journalled())

"""The ZeroMQ port with permitted and hostile peers, over real sockets."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import zmq

from common.errors import AddressError, BadMessageError
from common.wire import transport
from common.wire.transport import KeyPair, Receiver, Sender, make_key_pair
from tests.conftest import KEYS
from tests.system.stack import free_ports
from tests.waiting import wait_for

FRAMES = [b"kind", b"body"]
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00CURVE".ljust(23, b"\0") + bytes(32)
"""The greeting of a ZMTP 3 peer that announces CURVE."""


@pytest.fixture(params=["tcp", "ipc"])
def addr(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"tcp://127.0.0.1:{free_ports(1)[0]}" if request.param == "tcp" else f"ipc://{tmp_path}/trades"


@pytest.fixture
def receiver(addr: str) -> Iterator[Receiver]:
    with Receiver(addr, KEYS) as receiver:
        yield receiver


@pytest.fixture
def sender(addr: str) -> Iterator[Sender]:
    with contextlib.closing(Sender(addr, KEYS)) as sender:
        yield sender


class Seen:
    """What a receiver returned: messages, and the reasons for which it cut peers off."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.messages: list[list[bytes]] = []
        self.cut: list[str] = []

    def step(self, timeout: float = 0.02) -> None:
        try:
            frames = self.receiver.receive(timeout)
        except BadMessageError as error:
            self.cut.append(error.reason)
        else:
            self.messages += [] if frames is None else [frames]

    def until(self, done: Callable[[], bool], what: str, seconds: float = 15) -> None:
        def ask() -> bool:
            self.step()
            return done()

        wait_for(ask, what, seconds, every=0)


@pytest.fixture
def seen(receiver: Receiver) -> Seen:
    return Seen(receiver)


def arrive(seen: Seen, sender: Sender, body: bytes = b"body") -> None:
    """Send until the receiver has it: a new PUB socket loses what it sends before it is connected."""

    def done() -> bool:
        sender.send([b"kind", body])
        return [b"kind", body] in seen.messages

    seen.until(done, "the message arrives")


@contextlib.contextmanager
def forging(addr: str, options: dict[int, bytes]) -> Iterator[Callable[[], object]]:
    """Yield a function that sends from a socket with these security options."""
    with zmq.Context() as context, context.socket(zmq.PUB) as peer:
        peer.setsockopt(zmq.LINGER, 0)
        for option, value in options.items():
            peer.setsockopt(option, value)
        peer.connect(addr)
        yield lambda: peer.send_multipart([b"forged", b"body"], zmq.NOBLOCK)


def curve(client: KeyPair, server: str) -> dict[int, bytes]:
    keys = {zmq.CURVE_PUBLICKEY: client.public, zmq.CURVE_SECRETKEY: client.secret, zmq.CURVE_SERVERKEY: server}
    return {option: key.encode() for option, key in keys.items()}


OTHERS = {
    "no security": {},
    "a name and a password": {zmq.PLAIN_USERNAME: b"admin", zmq.PLAIN_PASSWORD: b"admin"},
    "the server's public key and a key of its own": curve(make_key_pair(), KEYS.public),
    "its own key pair at both ends": curve(other := make_key_pair(), other.public),
}


@pytest.mark.parametrize("options", OTHERS.values(), ids=OTHERS)
def test_a_peer_without_the_key_pair_is_cut_off_and_nothing_of_it_is_received(
    seen: Seen, sender: Sender, addr: str, options: dict[int, bytes]
) -> None:
    with forging(addr, options) as forge:

        def was_cut() -> bool:
            forge()
            return bool(seen.cut)

        seen.until(was_cut, "the peer is cut off")
        arrive(seen, sender)
    assert set(seen.cut) == {"unauthorised"}
    assert all(frames == FRAMES for frames in seen.messages)


BYTES = {
    "ZMTP 1.0": b"\x01\x00" + b"\x07\x00forged" + b"\x05\x00body",
    "ZMTP 2.0": b"\xff" + bytes(8) + b"\x7f\x01\x01\x00\x00" + b"\x01\x06forged" + b"\x00\x04body",
    "HTTP": b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n\r\n\x01\x00\x07\x00forged\x05\x00body",
    "ZMTP 3 as NULL": GREETING.replace(b"CURVE", b"NULL\0") + b"\x04\x05\x05READY" + b"\x01\x06forged\x00\x04body",
    "a greeting and random bytes": GREETING + b"\x01\x06forged\x00\x04body",
    "a greeting and READY": GREETING + b"\x04\x06\x05READY" + b"\x01\x06forged\x00\x04body",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
}


@pytest.mark.parametrize("sent", BYTES.values(), ids=BYTES)
def test_bytes_of_other_protocols_are_not_received_as_messages(
    seen: Seen, sender: Sender, addr: str, sent: bytes
) -> None:
    with connect(addr) as peer:
        peer.sendall(sent)
        seen.until(lambda: is_cut(peer), "the connection is closed")
        seen.until(lambda: bool(seen.cut), "it is counted")
    arrive(seen, sender)
    assert seen.cut == ["unauthorised"]
    assert all(frames == FRAMES for frames in seen.messages)


def test_a_silent_connection_is_cut_off(seen: Seen, addr: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "HANDSHAKE_SECONDS", 0.2)
    seen.receiver.use(make_key_pair())
    seen.step()
    with connect(addr) as peer:
        seen.until(lambda: is_cut(peer), "the connection is closed")
        seen.until(lambda: seen.cut == ["unauthorised"], "it is counted")


def test_each_silent_connection_is_counted_once_while_others_complete_the_handshake(
    seen: Seen, addr: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "HANDSHAKE_SECONDS", 0.2)
    seen.receiver.use(keys := make_key_pair())
    seen.step()
    with contextlib.ExitStack() as held:
        for number in range(5):
            held.enter_context(connect(addr))
            arrive(seen, held.enter_context(contextlib.closing(Sender(addr, keys))), b"%d" % number)
        seen.until(lambda: len(seen.cut) == 5, "all are counted")
    for _ in range(20):
        seen.step()
    assert seen.cut == ["unauthorised"] * 5


@pytest.mark.parametrize("head", [b"", GREETING, GREETING + b"\x06" + (2**40).to_bytes(8)], ids=["", "CURVE", "huge"])
def test_a_flood_is_cut_off_and_uses_no_memory(seen: Seen, addr: str, head: bytes) -> None:
    before = psutil.Process().memory_info().rss
    with connect(addr) as peer:
        peer.sendall(head)
        ended, sent = threading.Event(), [0]

        def flood() -> None:
            with contextlib.suppress(OSError):
                while sent[0] < 64 * 2**20:
                    sent[0] += peer.send(bytes(65_536))
            ended.set()

        thread = threading.Thread(target=flood)
        thread.start()
        seen.until(ended.is_set, "the connection is closed")
        thread.join()
    # Most of it is in the kernel's buffers of both ends.
    assert sent[0] < 8 * 2**20
    assert psutil.Process().memory_info().rss - before < 8 * 2**20
    assert seen.messages == []


def test_too_many_connections_are_all_cut_off_and_peers_with_the_key_reconnect(
    seen: Seen, addr: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "CONNECTION_LIMIT", 20)
    seen.receiver.use(other := make_key_pair())
    with contextlib.ExitStack() as held:
        sender = held.enter_context(contextlib.closing(Sender(addr, other)))
        arrive(seen, sender)
        peers = [held.enter_context(connect(addr)) for _ in range(20)]
        seen.until(lambda: "crowded" in seen.cut, "they are too many")
        arrive(seen, sender, b"after")
        seen.until(lambda: all(map(is_cut, peers)), "they are cut off")


def test_each_of_one_thousand_invalid_connections_is_counted(seen: Seen, sender: Sender, addr: str) -> None:
    arrive(seen, sender)
    for _ in range(1000):
        with connect(addr) as peer:
            peer.sendall(BYTES["HTTP"])
            seen.step(0)
    arrive(seen, sender, b"after")
    seen.until(lambda: len(seen.cut) >= 1000, "each is counted")
    assert seen.cut == ["unauthorised"] * 1000


def test_a_sender_of_a_frame_above_the_limit_is_cut_off_and_reconnects(seen: Seen, sender: Sender) -> None:
    arrive(seen, sender)
    sender.send([b"kind", bytes(transport.MESSAGE_LIMIT + 1)])
    arrive(seen, sender, b"after")
    assert all(len(frames[1]) < 10 for frames in seen.messages)
    assert seen.cut == []


def test_another_key_pair_locks_out_the_old_one(seen: Seen, sender: Sender, addr: str) -> None:
    old, new = sender, make_key_pair()
    arrive(seen, old)
    seen.receiver.use(KEYS)
    old.send([b"kind", b"still"])
    seen.until(lambda: [b"kind", b"still"] in seen.messages, "the same key changes nothing")
    seen.receiver.use(new)
    with contextlib.closing(Sender(addr, new)) as successor:
        arrive(seen, successor, b"new")
    count = len(seen.messages)

    def locked_out() -> bool:
        old.send([b"kind", b"old"])
        return "unauthorised" in seen.cut

    seen.until(locked_out, "the old key is rejected")
    assert [b"kind", b"old"] not in seen.messages[count:]


def test_an_address_that_was_in_use_is_bound_again_when_it_is_free() -> None:
    addr = f"tcp://127.0.0.1:{free_ports(1)[0]}"
    receiver = Receiver(addr, KEYS)
    receiver.close()
    with Receiver(addr, KEYS):
        for _ in range(2):
            with pytest.raises(AddressError, match="it is in use"):
                receiver.receive(0.01)
    with receiver, contextlib.closing(Sender(addr, KEYS)) as sender:
        arrive(Seen(receiver), sender)


def test_messages_arrive_and_closing_twice_is_allowed(seen: Seen, sender: Sender) -> None:
    arrive(seen, sender)
    sender.close()
    sender.close()
    seen.receiver.close()
    seen.receiver.close()


def test_sending_without_a_receiver_never_blocks(tmp_path: Path) -> None:
    sender = Sender(f"ipc://{tmp_path}/missing", KEYS)
    for _ in range(20_000):
        sender.send(FRAMES)
    sender.close()


def test_an_address_that_cannot_be_bound_is_reported_in_one_line(tmp_path: Path) -> None:
    addr = f"ipc://{tmp_path}/missing/trades"
    with pytest.raises(AddressError) as caught:
        Receiver(addr, KEYS)
    assert addr in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(AddressError, match="cannot connect"):
        Sender("tcp://", KEYS)


def test_a_key_pair_does_not_show_its_secret() -> None:
    assert KEYS.secret not in f"{KEYS} {KEYS!r}"


def connect(addr: str) -> socket.socket:
    if addr.startswith("ipc"):
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(addr.removeprefix("ipc://"))
        return peer
    host, port = addr.removeprefix("tcp://").rsplit(":", 1)
    return socket.create_connection((host, int(port)))


def is_cut(peer: socket.socket) -> bool:
    try:
        while peer.recv(4096, socket.MSG_DONTWAIT):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True

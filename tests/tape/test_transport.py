from pathlib import Path

import pytest

from tape.errors import AddressError
from tape.transport import Receiver, Sender


def test_messages_arrive_and_closing_twice_is_fine(tmp_path: Path) -> None:
    addr = f"ipc://{tmp_path}/trades"
    with Receiver(addr) as receiver:
        sender = Sender(addr)
        # A new PUB socket loses what it sends before the connection stands.
        for _ in range(500):
            sender.send([b"kind", b"body"])
            found = receiver.receive(0.02)
            if found is not None:
                break
        assert found == [b"kind", b"body"]
        sender.close()
        sender.close()
    receiver.close()


def test_sending_without_a_receiver_never_blocks(tmp_path: Path) -> None:
    sender = Sender(f"ipc://{tmp_path}/nobody")
    for _ in range(20_000):
        sender.send([b"kind", b"body"])
    sender.close()


def test_an_address_in_use_is_said_in_one_line(tmp_path: Path) -> None:
    addr = f"ipc://{tmp_path}/missing/trades"
    with pytest.raises(AddressError) as caught:
        Receiver(addr)
    assert addr in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(AddressError, match="cannot connect"):
        Sender("tcp://")

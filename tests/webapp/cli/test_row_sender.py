import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import click
import pytest
import requests
from msgspec.structs import astuple

from tests.conftest import make_trade
from webapp.cli import row_sender
from webapp.cli.client import Client
from webapp.cli.row_sender import FileTrade, Import, ReadyRow, RowSender


class Stack(Client):
    """Answers each batch with the next of ``answers``: a status and a body, or an error."""

    def __init__(self, *answers: tuple[int, object] | click.ClickException) -> None:
        super().__init__("http://stack")
        self._answers = iter(answers)
        self.posted: list[bytes] = []

    def post(self, path: str, body: bytes, *_: object, **__: object) -> requests.Response:
        assert path == "/trades"
        self.posted.append(body)
        given = next(self._answers)
        if isinstance(given, click.ClickException):
            raise given
        answer = requests.Response()
        answer.status_code = given[0]
        answer.raw = io.BytesIO(json.dumps(given[1]).encode())
        return answer


def rows(*lines: int) -> list[ReadyRow]:
    trade = FileTrade(*astuple(make_trade()))
    return [ReadyRow(line, trade, b"%d" % line, [str(line)]) for line in lines]


def send(stack: Stack, *batches: list[ReadyRow]) -> Import:
    outcome = Import()
    sender = RowSender(stack, outcome, "fills.csv")
    try:
        for batch in batches:
            sender.send(batch)
        sender.wait()
    except click.ClickException as error:
        outcome.messages.append(error.message)
    finally:
        sender.close()
    return outcome


def test_batches_are_sent_in_the_order_of_the_file_and_all_are_counted() -> None:
    stack = Stack((201, {"duplicates": 0}), (201, {"duplicates": 1}), (201, {"duplicates": 0}))
    outcome = send(stack, rows(2, 3), rows(4, 5), rows(6))
    assert stack.posted == [b"[2,3]", b"[4,5]", b"[6]"]
    assert (outcome.accepted, outcome.there, outcome.rejected) == (4, 1, 0)


def test_nothing_is_sent_after_a_batch_without_an_answer() -> None:
    stack = Stack((201, {"duplicates": 0}), click.ClickException("no answer"), (201, {"duplicates": 0}))
    outcome = send(stack, rows(2), rows(3), rows(4))
    assert stack.posted == [b"[2]", b"[3]"]
    assert (outcome.accepted, outcome.messages) == (1, ["no answer"])


def test_rejected_rows_are_left_out_and_named_and_the_others_are_sent_again() -> None:
    stack = Stack((422, {"errors": {"1": {"price": ["0 is not accepted"]}}}), (201, {"duplicates": 0}))
    outcome = send(stack, rows(2, 3, 4))
    assert stack.posted == [b"[2,3,4]", b"[2,4]"]
    assert (outcome.accepted, outcome.rejected, outcome.messages) == (2, 1, ["line 3: price: 0 is not accepted"])


def test_what_was_written_before_the_connection_broke_is_counted() -> None:
    stack = Stack((413, {}), (201, {"duplicates": 0}), click.ClickException("no answer"))
    outcome = send(stack, rows(2, 3))
    assert stack.posted == [b"[2,3]", b"[2]", b"[3]"]
    assert (outcome.accepted, outcome.messages) == (1, ["no answer"])


def test_what_is_only_ready_is_not_sent_after_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    began, interrupted = threading.Event(), threading.Event()

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as in Python
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            interrupted.set()
            super().shutdown(wait=wait)

    class Slow(Stack):
        def post(self, path: str, body: bytes, *_: object, **__: object) -> requests.Response:
            began.set()
            assert interrupted.wait(60)
            return super().post(path, body)

    monkeypatch.setattr(row_sender, "ThreadPoolExecutor", Pool)
    monkeypatch.setattr(row_sender, "AHEAD", 2)
    stack, outcome = Slow((201, {"duplicates": 0}), (201, {"duplicates": 0})), Import()
    sender = RowSender(stack, outcome, "fills.csv")
    sender.send(rows(2))
    sender.send(rows(3))
    assert began.wait(60)
    sender.close()
    assert stack.posted == [b"[2]"]
    assert outcome.accepted == 1

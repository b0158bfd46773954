import os

from common.process import PerProcess


def test_each_process_opens_its_own_object() -> None:
    mine = PerProcess(os.getpid)
    assert mine.get() == os.getpid()
    child = os.fork()
    if child == 0:
        os._exit(0 if mine.get() == os.getpid() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert mine.take() == os.getpid()
    assert mine.take() is None


def test_a_child_does_not_close_what_its_parent_opened() -> None:
    mine = PerProcess(os.getpid)
    mine.get()
    child = os.fork()
    if child == 0:
        os._exit(0 if mine.take() is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

import os

from common.process import PerProcess


def test_each_process_opens_its_own() -> None:
    mine = PerProcess(os.getpid)
    assert mine.get() == os.getpid()
    child = os.fork()
    if child == 0:
        os._exit(0 if mine.get() == os.getpid() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert mine.take() == os.getpid()
    assert mine.take() is None


def test_what_a_parent_opened_is_not_the_childs_to_close() -> None:
    mine = PerProcess(os.getpid)
    mine.get()
    child = os.fork()
    if child == 0:
        os._exit(0 if mine.take() is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

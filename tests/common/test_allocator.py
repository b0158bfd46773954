import subprocess
import sys

import pytest

from tests.conftest import ROOT

# Threads that all have some memory, and the arenas that glibc lists then.
SCRIPT = """
import ctypes, os, threading
from common.allocator import share_arena
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
{call}
barrier = threading.Barrier(5)
def hold():
    bytes(100_000)
    barrier.wait()
threads = [threading.Thread(target=hold) for _ in range(4)]
for thread in threads:
    thread.start()
barrier.wait()
file = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, file)
libc.fflush(file)
os._exit(0)
"""


@pytest.mark.parametrize(("call", "are_several"), [("", True), ("share_arena()", False)])
def test_all_threads_share_one_arena(call: str, *, are_several: bool) -> None:
    command = [sys.executable, "-c", SCRIPT.format(call=call)]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    assert listed.count("<heap nr=") >= 1
    assert (listed.count("<heap nr=") > 1) == are_several

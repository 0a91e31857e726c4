import ctypes
import subprocess
import sys

import pytest

# mallinfo2(3) counts the blocks that were mapped for one allocation alone, and go back to the system when it is freed.
MAPPED = """
import ctypes, sys, torch
from strategies.loop.freed_memory import keep_freed_memory

class Info(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]

info = ctypes.CDLL(None).mallinfo2
info.restype = Info
if sys.argv[1] == "keep":
    keep_freed_memory()
before = info().hblks
block = torch.empty(30_000_000, dtype=torch.uint8)
print(info().hblks - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="needs the GNU C library, 2.33 or newer")
def test_what_a_step_frees_stays_for_the_next() -> None:
    mapped = {
        how: subprocess.run([sys.executable, "-c", MAPPED, how], capture_output=True, text=True, check=True).stdout
        for how in ("leave", "keep")
    }
    assert {how: int(count) for how, count in mapped.items()} == {"leave": 1, "keep": 0}

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from strategies.allocation import keep_freed_memory

def step():
    for tensor in [torch.empty(600_000) for _ in range(10)]:
        tensor.fill_(1.0)

def faults():
    for _ in range(20):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

without = faults()
keep_freed_memory()
print(without, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs the GNU C library")
def test_a_step_does_not_ask_the_system_for_what_the_last_one_freed() -> None:
    for _ in range(8):
        done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
        without, kept = map(int, done.stdout.split())
        assert kept < 2000
        if without > 50_000:  # some 5800 pages a step
            return
        # Where blocks lie in this process, by chance, nothing is ever given back.
    pytest.fail("this C library keeps it anyway: keep_freed_memory has no use")

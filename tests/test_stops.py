"""A few of the stops of `python -m tests.stops`: each kind of writer, taken over by forget.

In a process of their own: one that has trained, or has threads, cannot be forked to train.
"""

import subprocess
import sys

from tests.stops import FEW, REAL


def test_who_is_stopped_and_wakes_writes_nothing() -> None:
    """A real run, a real search, forget, gc and copy, with clocks set forward and back."""
    done = subprocess.run([sys.executable, "-m", "tests.stops", "--few"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{2 * len(FEW) - len(REAL)} stops, wrong: none" in done.stdout

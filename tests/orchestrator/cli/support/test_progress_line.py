"""The line that says how far a command has come."""

import io
import sys

import pytest

from orchestrator.cli.support.progress_line import progress_line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("terminal", [False, True])
def test_it_is_shown_on_a_terminal_only_and_gone_in_the_end(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with progress_line() as tell:
        tell("blobs", 3, 10)
        tell("blobs", 10, 10)
    shown = stream.getvalue()
    if not terminal:
        assert shown == ""
        return
    assert "blobs" in shown and "10/10" in shown
    # The last thing that is written clears the line.
    assert shown.rstrip("\r").endswith("\x1b[2K")

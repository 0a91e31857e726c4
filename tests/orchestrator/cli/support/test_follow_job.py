"""How a followed job is shown."""

import io
import os

import pytest

from orchestrator.cli.support.follow_job import receiver
from orchestrator.jobs.relay.sender import RelayReporter
from tests.orchestrator.progress.streams import events, result, summary


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def job() -> str:
    """What a job writes."""
    stream = io.StringIO()
    reporter = RelayReporter(stream)
    reporter.start(summary(2))
    for event in events(0, 2):
        reporter.event(event)
    reporter.finish(result(2))
    return stream.getvalue()


def test_elsewhere_by_its_lines() -> None:
    out = io.StringIO()
    with receiver(out, "p.yaml") as received:
        received(job() + "its own line\n")
    text = out.getvalue()
    assert "experience 1" in text and text.endswith("its own line\n")
    assert "\x1b" not in text and "\x1e" not in text and "everlearn log" not in text


def test_on_a_terminal_as_if_it_ran_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "TERM", "xterm")
    out = Terminal()
    with receiver(out, "p.yaml") as received:
        received(job() + "its own line\n")
    assert "its own line" in out.getvalue() and "everlearn log p.yaml" in out.getvalue()
    assert received.result == result(2).to_json()

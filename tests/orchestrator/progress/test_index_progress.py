"""The lines that a person sees while the files of a stream in lanes are looked at."""

import io

from rich.console import Console

from orchestrator.jobs.relay.receiver import Receiver
from orchestrator.jobs.relay.sender import RelayReporter
from orchestrator.progress.index_progress import IndexProgress
from orchestrator.progress.plain_reporter import PlainReporter


def test_a_line_comes_once_in_a_while_only() -> None:
    out = io.StringIO()
    often, seldom = (IndexProgress(Console(file=out, width=20), seconds) for seconds in (0, 600))
    for done in range(1, 4):
        often(1000 * done, 3000)
        seldom(1000 * done, 3000)
    assert out.getvalue().splitlines() == [f"index of the blocks: {n},000 of 3,000 new files" for n in (1, 2, 3)]


def test_reporters_show_it_before_the_start_and_jobs_as_ordinary_lines() -> None:
    out, relayed = io.StringIO(), io.StringIO()
    plain, relay = PlainReporter(Console(file=out)), RelayReporter(relayed)
    plain._index._seconds = relay._index._seconds = 0
    for reporter in (plain, relay):
        reporter.indexed(1, 2)
    lines: list[str] = []
    Receiver(lines.append)(relayed.getvalue())
    assert lines == out.getvalue().splitlines() == ["index of the blocks: 1 of 2 new files"]

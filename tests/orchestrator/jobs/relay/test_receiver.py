"""What a job writes, and what becomes of it where it is followed."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

from rich.console import Console

from orchestrator.events import CommitWritten, Event, TrackingOpened, Warned
from orchestrator.jobs.relay.receiver import Receiver, without_messages
from orchestrator.jobs.relay.sender import MARK, RelayReporter, RelaySearchReporter
from orchestrator.progress.plain_reporter import PlainReporter
from orchestrator.progress.run_reporter import Reporter, RunState, Summary
from orchestrator.progress.terminal_reporter import TerminalReporter
from orchestrator.result import RunResult
from orchestrator.tuning.search_reporter import SearchReporter, SearchSummary
from orchestrator.tuning.trial_record import TrialRecord
from tests.orchestrator.progress.streams import commit, events, result, summary

SUMMARY = SearchSummary("tune", "small: grid", 2, ("average_accuracy",), ("max",), ("strategy.ewc.lambda",))


class Heard(Reporter):
    def __init__(self) -> None:
        self.state: RunState | None = None
        self.kinds: list[str] = []
        self.result: RunResult | None = None

    def start(self, summary: Summary) -> None:
        self.state = RunState(summary)

    def event(self, event: Event) -> None:
        assert self.state is not None
        self.kinds.append(event.kind)
        self.state.take(event)

    def finish(self, result: RunResult) -> None:
        self.result = result


class HeardSearch(SearchReporter):
    def __init__(self) -> None:
        self.told: list[Any] = []

    def start(self, summary: SearchSummary, records: Any) -> None:
        self.told += [summary, *records]

    def trial(self, record: TrialRecord) -> None:
        self.told.append(record)

    def waiting(self, text: str) -> None:
        self.told.append(text)

    def stage(self, text: str) -> None:
        self.told.append(text)


def run(reporter: Reporter, length: int = 3) -> None:
    reporter.start(summary(length, reused=1))
    for event in events(1, length):
        reporter.event(event)
    reporter.event(Warned("mind"))
    reporter.event(TrackingOpened("http://m", "r1", "http://m/#/r1"))
    reporter.finish(result(length, reused=1))


def output(do: Callable[[Reporter], None] = run) -> str:
    stream = io.StringIO()
    do(RelayReporter(stream))
    return stream.getvalue()


def test_without_the_messages_a_job_writes_what_a_run_writes() -> None:
    stream = io.StringIO()
    run(PlainReporter(Console(file=stream, highlight=False, emoji=False, markup=False)))
    assert without_messages(output()) == stream.getvalue() != ""


def test_a_follower_without_a_terminal_shows_those_lines() -> None:
    lines: list[str] = []
    Receiver(lines.append)(output())
    assert "\n".join(lines) + "\n" == without_messages(output())


def test_a_follower_with_one_hears_what_the_reporter_there_heard() -> None:
    here, there, lines = Heard(), Heard(), list[str]()
    run(there)
    with Receiver(lines.append, here) as received:
        received("before\n" + output() + "after\n")
    assert lines == ["before", "after"]
    assert here.state is not None and there.state is not None and here.result is not None
    assert here.state.score == there.state.score and here.state.index == there.state.index == 2
    # Steps within one second are not all told.
    assert [kind for kind in here.kinds if kind != "step"] == [kind for kind in there.kinds if kind != "step"]
    assert here.result.to_json() == received.result == result(3, reused=1).to_json()
    assert received.tracking == {"uri": "http://m", "run_id": "r1", "url": "http://m/#/r1"}


def test_on_a_terminal_it_looks_as_if_it_ran_here() -> None:
    screens = [io.StringIO(), io.StringIO()]
    mine, theirs = (
        TerminalReporter(Console(file=screen, highlight=False, emoji=False, markup=False, width=90), "everlearn", "f")
        for screen in screens
    )
    run(mine)
    with Receiver(lambda line: None, theirs) as received:
        received(output())
    assert screens[0].getvalue() == screens[1].getvalue() != ""


def test_a_message_does_not_grow_with_the_stream() -> None:
    def one(length: int) -> int:
        stream = io.StringIO()
        RelayReporter(stream).event(CommitWritten(commit(length - 1, length)))
        return len(stream.getvalue())

    assert abs(one(1000) - one(10)) < 40


def test_what_is_not_understood_is_shown_by_its_lines() -> None:
    for broken in ("{", "[]", json.dumps({"kind": "event", "lines": 1, "content": {}}), json.dumps({"lines": 1})):
        lines: list[str] = []
        Receiver(lines.append, Heard())(f"{MARK}{broken}\na line\n")
        assert lines == ["a line"]
    lines = []
    Receiver(lines.append, Heard())(f"{MARK}{json.dumps({'kind': 'newer', 'lines': 1, 'content': 1})}\na line\n")
    assert lines == ["a line"]
    newer = {"kind": "event", "lines": 1, "content": {"kind": "of-a-newer-version", "x": 1}}
    Receiver(lines.append, Heard())(f"{MARK}{json.dumps(newer)}\nanother\n")
    assert lines == ["a line", "another"]


def test_a_search_is_relayed_and_its_outcome_is_the_job_s_own_text() -> None:
    done = TrialRecord(
        number=1,
        settings={"strategy.ewc.lambda": 3.0},
        state="done",
        of=2,
        history=[{"average_accuracy": 0.5}, {"average_accuracy": 0.75}],
        lineage=[["a" * 64, "b" * 64]],
        started=1,
        ended=2,
    )
    stream = io.StringIO()
    sender = RelaySearchReporter(stream)
    sender.start(SUMMARY, [done])
    sender.trial(done)
    sender.waiting("for the trial")
    sender.stage("the best")
    here, lines = HeardSearch(), list[str]()
    Receiver(lines.append, search_reporter=here)(stream.getvalue())
    assert lines == [] and here.told[0] == SUMMARY and here.told[3:] == ["for the trial", "the best"]
    for record in here.told[1:3]:
        assert (record.metrics, len(record.history), record.state) == (done.metrics, 2, "done")
        assert record.settings == done.settings and record.lineage == []
    Receiver(lines.append)(stream.getvalue())
    assert len(lines) == 5 and lines[3] == "waiting: for the trial" and "lambda=3" in lines[2]

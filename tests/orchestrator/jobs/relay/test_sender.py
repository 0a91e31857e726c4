"""What a job writes: messages for a program, and lines for a person."""

from __future__ import annotations

import io
import json
from typing import Any

from orchestrator.events import CheckpointWritten, CommitWritten, StepDone
from orchestrator.jobs.relay import sender
from orchestrator.jobs.relay.sender import MARK, RelayReporter, RelaySearchReporter
from orchestrator.tuning.search_reporter import SearchSummary
from orchestrator.tuning.trial_record import TrialRecord
from tests.orchestrator.progress.streams import commit, events, result, summary


def messages(text: str) -> list[dict[str, Any]]:
    """The messages, each with the lines that stand for it."""
    lines = text.split("\n")
    found = []
    for number, line in enumerate(lines):
        if line.startswith(MARK):
            message = json.loads(line.removeprefix(MARK))
            found.append({**message, "text": lines[number + 1 : number + 1 + message["lines"]]})
    return found


def test_every_message_counts_the_lines_that_stand_for_it() -> None:
    stream = io.StringIO()
    reporter = RelayReporter(stream)
    reporter.start(summary(2, reused=1))
    for event in events(1, 2):
        reporter.event(event)
    reporter.finish(result(2, reused=1))
    found = messages(stream.getvalue())
    assert found[0]["kind"] == "start" and found[-1]["kind"] == "finish"
    assert sum(len(one["text"]) + 1 for one in found) == stream.getvalue().count("\n")
    assert not any(MARK in line for one in found for line in one["text"])
    (told,) = [one for one in found if one["kind"] == "event" and one["content"]["kind"] == "commit"]
    assert any("experience 1" in line for line in told["text"])
    assert found[-1]["content"] == result(2, reused=1).to_json()


def test_what_is_reported_often_is_sent_once_in_a_while(monkeypatch: Any) -> None:
    now = [100.0]
    monkeypatch.setattr(sender.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    reporter = RelayReporter(stream)
    reporter.start(summary(1))
    step = next(event for event in events() if isinstance(event, StepDone))
    sent = []
    for seconds in (0.0, 0.1, 0.8, 0.2, 0.1):
        now[0] += seconds
        reporter.event(step)
        sent.append(len([one for one in messages(stream.getvalue()) if one["kind"] == "event"]))
    assert sent == [1, 1, 1, 2, 2]


def test_what_reporters_do_not_show_is_not_sent() -> None:
    stream = io.StringIO()
    RelayReporter(stream).event(CheckpointWritten(7))
    assert stream.getvalue() == ""


def test_of_a_commit_only_what_is_shown() -> None:
    stream = io.StringIO()
    RelayReporter(stream).event(CommitWritten({**commit(1), "blobs": {"model": "secret"}}))
    (message,) = messages(stream.getvalue())
    sent = message["content"]["commit"]
    assert sent.keys() == {"id", "experience", "timings", "row", "losses"}
    assert sent["row"] == [{"experience": 1, "correct": 0.875, "total": 1}] and len(sent["losses"]) == 1


def test_of_a_trial_not_what_grows_with_the_stream() -> None:
    stream = io.StringIO()
    reporter = RelaySearchReporter(stream)
    done = TrialRecord(
        number=1, state="done", of=2, history=[{"average_accuracy": 0.5}, {"average_accuracy": 0.75}],
        times=[1, 2], lineage=[["a" * 64]], started=1, ended=2,
    )  # fmt: skip
    reporter.start(SearchSummary("tune", "grid", 1, ("average_accuracy",), ("max",), ()), [done])
    reporter.warning("careful")
    first, warning = messages(stream.getvalue())
    (sent,) = first["content"]["records"]
    assert not {"history", "times", "lineage", "values"} & sent.keys()
    assert sent["reached"] == 2 and sent["metrics"] == {"average_accuracy": 0.75}
    assert (warning["kind"], warning["content"], len(warning["text"])) == ("warning", "careful", 1)

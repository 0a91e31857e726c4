"""Writes the progress of a job for a person and for a program into one output.

Each message is a line that begins with the record separator of RFC 7464, followed by JSON. The lines for a person
follow it; the message has their number. `everlearn logs` removes the messages.
"""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, TextIO

from orchestrator.events import (
    CommitWritten,
    Event,
    ExperienceStarted,
    Resumed,
    StageStarted,
    StepDone,
    TrackingOpened,
    Waiting,
    Warned,
    WorkersRestarted,
    to_dict,
)
from orchestrator.progress.index_progress import IndexProgress
from orchestrator.progress.plain_reporter import PlainReporter
from orchestrator.progress.run_reporter import Reporter, Summary, score_so_far
from orchestrator.result import RunResult
from orchestrator.tuning.search_reporter import SearchReporter, SearchSummary
from orchestrator.tuning.search_table import PlainSearchReporter

if TYPE_CHECKING:
    from orchestrator.tuning.search_result import CompareResult, TuneResult
    from orchestrator.tuning.trial_record import TrialRecord

MARK = "\x1e"
# Events that reporters show.
_SHOWN = (
    ExperienceStarted,
    StepDone,
    StageStarted,
    CommitWritten,
    Waiting,
    Warned,
    WorkersRestarted,
    Resumed,
    TrackingOpened,
)
# Seconds between two messages of one kind without lines.
_PERIOD = 1.0


class _Channel:
    """Writes each message and its lines in one piece."""

    def __init__(self, stream: TextIO) -> None:
        from orchestrator.cli.support.output import console

        self._stream, self._text = stream, io.StringIO()
        self.console = console(self._text)
        self.lock = threading.RLock()
        self._sent: dict[str, float] = {}

    def send(self, kind: str, content: Any, *, often: str | None = None) -> None:
        """
        Args:
            often: name of a frequent kind of message, of which one is sent per `_PERIOD`, unless there are lines.
        """
        text = self._text.getvalue()
        if often is not None and not text and time.monotonic() - self._sent.get(often, 0.0) < _PERIOD:
            return
        if often is not None:
            self._sent[often] = time.monotonic()
        self._text.seek(0)
        self._text.truncate()
        message = {"kind": kind, "lines": text.count("\n"), "content": content}
        self._stream.write(f"{MARK}{json.dumps(message, separators=(',', ':'))}\n{text}")
        self._stream.flush()


class RelayReporter(Reporter):
    """Relays the progress of a run."""

    def __init__(self, stream: TextIO, tables: bool = True) -> None:
        from orchestrator.cli.support.output import console

        self._channel = _Channel(stream)
        self._index = IndexProgress(console(stream))
        self._plain = PlainReporter(self._channel.console, tables=tables)

    def indexed(self, done: int, of: int) -> None:
        self._index(done, of)  # ordinary lines, which whoever follows the job shows as they are

    def start(self, summary: Summary) -> None:
        with self._channel.lock:
            self._plain.start(summary)
            self._channel.send("start", {**summary, "chain": [_short(commit) for commit in summary.get("chain", [])]})

    def event(self, event: Event) -> None:
        if not isinstance(event, _SHOWN):
            return
        with self._channel.lock:
            self._plain.event(event)
            sent = replace(event, commit=_short(event.commit)) if isinstance(event, CommitWritten) else event
            self._channel.send("event", to_dict(sent), often=event.kind if isinstance(event, StepDone) else None)

    def finish(self, result: RunResult) -> None:
        with self._channel.lock:
            self._plain.finish(result)
            self._channel.send("finish", result.to_json())


class RelaySearchReporter(SearchReporter):
    """Relays the progress of a search or a comparison."""

    def __init__(self, stream: TextIO, tables: bool = True) -> None:
        self._channel = _Channel(stream)
        self._plain = PlainSearchReporter(self._channel.console, tables=tables)

    def start(self, summary: SearchSummary, records: Sequence[TrialRecord]) -> None:
        with self._channel.lock:
            self._plain.start(summary, records)
            self._channel.send("search", {"summary": asdict(summary), "records": [_trial(one) for one in records]})

    def trial(self, record: TrialRecord) -> None:
        with self._channel.lock:
            self._plain.trial(record)
            running = record.state == "running" and len(record.history) != record.of
            self._channel.send("trial", _trial(record), often=f"trial {record.number}" if running else None)

    def waiting(self, text: str) -> None:
        with self._channel.lock:
            self._plain.waiting(text)
            self._channel.send("waiting", text)

    def stage(self, text: str) -> None:
        with self._channel.lock:
            self._plain.stage(text)
            self._channel.send("stage", text)

    def warning(self, text: str) -> None:
        with self._channel.lock:
            self._plain.warning(text)
            self._channel.send("warning", text)

    def finish(self, result: TuneResult | CompareResult) -> None:
        with self._channel.lock:
            self._plain.finish(result)
            self._channel.send("outcome", None)


def _short(commit: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a commit that reporters show. Its row, which has the length of the stream, is reduced to its mean."""
    value, index, scores = score_so_far(commit), commit["experience"]["index"], commit.get("scores")
    row = [] if value is None else [{"experience": index, "correct": value, "total": 1}]
    if scores and value is not None:
        row[0]["scores"] = {scores[0]["name"]: value}
    kept = {name: commit[name] for name in ("id", "experience", "timings", "scores") if name in commit}
    return {**kept, "row": row, "losses": list(commit.get("losses") or [])[-1:]}


def _trial(record: TrialRecord) -> dict[str, Any]:
    """A trial without lists that grow with the stream; it keeps its number of experiences and its last metrics."""
    document = record.model_dump(mode="json", exclude={"history", "times", "lineage", "values"})
    return {**document, "reached": len(record.history), "metrics": record.metrics}

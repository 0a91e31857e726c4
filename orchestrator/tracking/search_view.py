"""A search, or a comparison, as MLflow shows it: one run, and a nested run for each trial.

All that is written follows from the trials' records, with their own timestamps: writing it twice changes nothing.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.redact import redact
from orchestrator.tracking.metric_points import Point, key_of
from orchestrator.tracking.mlflow_client import open_client
from orchestrator.tracking.run_view import COMMIT, PIPELINE, RUN, RunView

if TYPE_CHECKING:
    from orchestrator.tuning.trial_record import TrialRecord
    from pipelines.config.schema import Pipeline

TRIAL, STATE, BEST, BEST_RUN = "everlearn.trial", "everlearn.state", "everlearn.best", "everlearn.best_run"
_NOTE, _PARENT = "mlflow.note.content", "mlflow.parentRunId"
_STATUS = {"done": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}


@dataclass(frozen=True)
class Closing:
    """What the run shows of all trials together.

    Attributes:
        note: its description, as Markdown.
        best: number of the best trial.
        commit: id of the best model.
        metrics: of the run, by name.
        time: of the metrics and of the end, in Unix milliseconds.
        files: content by path.
    """

    note: str
    time: int
    best: int | None = None
    commit: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


class SearchView(RunView):
    """Writes a search. Not thread-safe. After an error, make a new one: it finds what is already written."""

    def __init__(self, pipeline: Pipeline, *, key: str, title: str) -> None:
        super().__init__(pipeline, key=key, stream_length=0)
        self._title = title
        self._trials: dict[int, tuple[str, str]] = {}

    def open_search(self, start: int) -> None:
        """Find the run, or create it with its parameters, begun at `start`."""
        self._client, self.experiment_id = open_client(self._uri, self._pipeline.tracking.experiment)
        run = self._find()
        if run is None:
            tags = {RUN: self._key, PIPELINE: self._pipeline.name, **self._origin()}
            run = self._client.create_run(self.experiment_id, start, tags, self._title)
        self.run_id, self._status, self._end = run.info.run_id, run.info.status, run.info.end_time
        self._log_parameters(run)
        for child in self._search(f"tags.`{_PARENT}` = '{self.run_id}'"):
            if TRIAL in child.data.tags:
                state = child.data.tags.get(STATE, "")
                self._trials[int(child.data.tags[TRIAL])] = child.info.run_id, state

    def trial(self, record: TrialRecord, parameters: Mapping[str, Any]) -> None:
        """Write a trial that has ended, unless it is there."""
        known, state = self._trials.get(record.number, ("", ""))
        if state == record.state:
            return
        if not known:
            name = record.name or f"trial {record.number:03d}"
            tags = {_PARENT: str(self.run_id), TRIAL: str(record.number), PIPELINE: self._pipeline.name}
            known = self._client.create_run(
                self.experiment_id, record.started, {**tags, **self._origin()}, name
            ).info.run_id
            self._trials[record.number] = known, ""
        self._log_params(known, parameters)
        self._log(known, _points(record))
        tags = {STATE: record.state, _NOTE: _note(record)}
        if record.lineage and record.lineage[0]:
            tags[COMMIT] = record.lineage[0][-1]
        for key, value in tags.items():
            self._client.set_tag(known, key, value)
        self._client.set_terminated(known, _STATUS[record.state], record.ended)
        self._trials[record.number] = known, record.state

    def close(self, closing: Closing) -> None:
        """Write the results over all trials, replacing older ones, and end the run."""
        self._log(
            self._run,
            [Point(key_of(name, slashes=True), round(v, 12), closing.time, 0) for name, v in closing.metrics.items()],
        )
        tags = {_NOTE: closing.note}
        if closing.best is not None and closing.best in self._trials:
            tags |= {BEST: str(closing.best), BEST_RUN: self._trials[closing.best][0]}
        if closing.commit is not None:
            tags[COMMIT] = closing.commit
        self._tags(tags)
        for number, (run, _) in self._trials.items():
            # An earlier invocation may have had another best trial.
            if closing.best is not None:
                self._client.set_tag(run, BEST, "true" if number == closing.best else "false")
        with tempfile.TemporaryDirectory(prefix="everlearn-files-") as folder:
            for name, content in closing.files.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            self._client.log_artifacts(self._run, folder)
        self.end("FINISHED", closing.time)

    def end(self, status: str, time: int) -> None:
        """Set the run's status."""
        self._client.set_terminated(self._run, status=status, end_time=time)

    @staticmethod
    def _origin() -> dict[str, str]:
        from orchestrator.tracking.run_view import _origin

        return _origin()


def _points(record: TrialRecord) -> Iterator[Point]:
    """Each metric after each experience, and the last values again as the trial's results."""
    for step, (metrics, time) in enumerate(zip(record.history, record.times, strict=True)):
        for name, value in metrics.items():
            if value is not None:
                yield Point(key_of(name), round(value, 12), time, step)
                if record.state == "done" and step == len(record.history) - 1:
                    yield Point(f"final/{key_of(name)}", round(value, 12), time, 0)
    if not record.times:
        return
    time, last = record.times[-1], len(record.times) - 1
    for name, value in record.deviation.items():
        if value is not None:
            yield Point(f"deviation/{key_of(name)}", round(value, 12), time, last)
    yield Point("progress/trained", float(record.trained), time, last)
    yield Point("progress/reused", float(record.reused), time, last)


def _note(record: TrialRecord) -> str:
    lines = [f"{path}: `{json.dumps(value)}`" for path, value in record.settings.items()]
    lines.append(f"{record.state} after {len(record.history)} of {record.of} experiences")
    if record.error:
        lines.append(f"Error: {redact(record.error)}")
    return "\n\n".join(lines)

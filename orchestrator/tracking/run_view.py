"""One pipeline run as MLflow shows it: the run, a nested run for each experience, files and the model.

The run is found by the tag `everlearn.run`, so the first writer creates it and all others use it. All
that is written follows from the commits, with their own timestamps: writing something twice changes nothing.
"""

from __future__ import annotations

import getpass
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.lineage.chain_metrics import course_metrics
from orchestrator.lineage.running_matrix import Course
from orchestrator.redact import redact
from orchestrator.tracking import metric_points as of
from orchestrator.tracking.baseline_runs import baseline_links
from orchestrator.tracking.dataset_inputs import dataset_input
from orchestrator.tracking.experience_colours import experience_colours
from orchestrator.tracking.logged_model import MakeModel, Owner, find_model, log_model, register_model
from orchestrator.tracking.metric_points import Point
from orchestrator.tracking.mlflow_client import connect, entities, open_client, resolve_uri, together
from orchestrator.tracking.run_description import description, headline
from orchestrator.tracking.run_files import pictures, write_files
from orchestrator.tracking.run_table import show_columns
from pipelines.config.named_scores import named_scores
from strategies.metrics import ACCURACY

if TYPE_CHECKING:
    from mlflow.entities import Run

    from orchestrator.lineage.commit import Commit
    from pipelines.config.schema import Pipeline

RUN, PIPELINE, COMMIT, EXPERIENCE = "everlearn.run", "everlearn.pipeline", "everlearn.commit", "everlearn.experience"
TASK_LABELS, SCORES = "everlearn.task_labels", "everlearn.scores"
_NOTE, _PARENT = "mlflow.note.content", "mlflow.parentRunId"
# Limits of one request to MLflow.
_METRICS, _PARAMETERS, _LONGEST = 1000, 100, 6000
# Nested runs that are written in one transaction: so few that another process does not wait for long.
_TOGETHER = 64


FindReference = Callable[[Sequence["Commit"]], Sequence[float | None]]
"""Gives what joint training reaches on each experience of a chain (see `orchestrator.lineage.joint_reference`)."""


class RunView:
    """Writes one run. Not thread-safe. After an error, make a new one: it finds what is already written.

    Attributes:
        run_id: of the MLflow run; None before `open`.
        experiment_id: of the MLflow experiment; None before `open`.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        key: str,
        stream_length: int,
        reference: FindReference | None = None,
        class_names: Sequence[str] | None = None,
        experience_names: Sequence[str | None] = (),
    ) -> None:
        """
        Args:
            key: id of the commit that the run aims at.
            stream_length: experiences in the stream.
            reference: finds what joint training reaches.
            class_names: of the output units; None: they have numbers.
            experience_names: as far as they have names.
        """
        self.run_id: str | None = None
        self.experiment_id: str | None = None
        self._pipeline, self._key, self._length = pipeline, key, stream_length
        self._uri = pipeline.tracking.uri
        self._find_reference = reference
        self._class_names, self._names = class_names, experience_names
        self._client: Any = None
        self._children: dict[int, str] = {}
        self._losses: set[int] = set()
        self._status = ""
        self._end: int | None = None
        self._commit: str | None = None
        self._scores = ACCURACY.name
        self._written = 0
        self._course = Course()
        self._model: str | None = None
        self._pictured = False
        self._links: dict[str, str] = {}

    @property
    def complete(self) -> bool:
        """Whether an earlier process wrote everything, to the end of the stream."""
        held, wanted = self._scores.split(","), [score.name for score in named_scores(self._pipeline)]
        scored = held[:1] == wanted[:1] and {*wanted} <= {*held}
        return self._status == "FINISHED" and self._commit == self._key and scored

    def open(self, chain: Sequence[Commit]) -> bool:
        """Find the run, or create it with its parameters; True if it was created.

        Args:
            chain: the commits that are there already; they date the beginning of a run that is not there yet.
        """
        self._client, self.experiment_id = open_client(self._uri, self._pipeline.tracking.experiment)
        found = self._find()
        run = found or self._create(chain)
        self.run_id, self._status, self._end = run.info.run_id, run.info.status, run.info.end_time
        self._commit = run.data.tags.get(COMMIT)
        self._scores = run.data.tags.get(SCORES, ACCURACY.name)
        self._log_parameters(run)
        for child in self._search(f"tags.`{_PARENT}` = '{self.run_id}'"):
            if EXPERIENCE in child.data.tags:
                self._children[int(child.data.tags[EXPERIENCE])] = child.info.run_id
        if of.LOSS in run.data.metrics:
            self._losses = {metric.step for metric in self._client.get_metric_history(self.run_id, of.LOSS)}
        return found is None

    def write(self, chain: Sequence[Commit]) -> None:
        """Write the metrics and tags of the commits that this view has not written yet."""
        if not chain:
            return
        # A later commit may complete the row of the one before it.
        first = max(0, min(self._written, len(chain)) - 1)
        course, reference, names = self._course.follow(chain), self._reference(chain), self._class_names
        self._scores = ",".join(score.name for score in course.scores)
        labels: dict[str, str] = {TASK_LABELS: chain[-1].task_labels} if chain[-1].task_labels else {}
        if chain[-1].scores is not None:
            labels[SCORES] = self._scores[:_LONGEST]
        note = self._describe(chain)
        # After each experience all children get points: their transactions, one by one, would be most of the time.
        children = list(of.child_points(chain, first, course).items())
        for start in range(0, len(children), _TOGETHER):
            with together(self._client):
                for index, points in children[start : start + _TOGETHER]:
                    self._log(self._child(chain, index), points)
        with together(self._client):
            self._inputs(self._run, chain[first:])
            self._log(self._run, of.parent_points(chain, self._length, first, reference, course, names))
            self.losses(of.loss_points(chain, first))
            self._tags({COMMIT: chain[-1].id, **labels, _NOTE: note})
        self._commit, self._written = chain[-1].id, len(chain)

    def losses(self, points: Iterable[Point]) -> None:
        """Write the loss at steps that have none yet. A worker that restarts reports some steps again."""
        new = [point for point in points if point.step not in self._losses]
        self._log(self._run, new)
        self._losses.update(point.step for point in new)

    def files(self, chain: Sequence[Commit]) -> None:
        """Write the pipeline file, the matrix and the figures; older versions are replaced."""
        course = self._course.follow(chain)
        history = course_metrics(course, chain, self._reference(chain))
        with tempfile.TemporaryDirectory(prefix="everlearn-files-") as name:
            write_files(
                Path(name),
                self._pipeline,
                chain,
                course,
                history,
                subtitle=self._headline(history[-1]),
                experiences=self._length,
                class_names=self._class_names,
            )
            self._client.log_artifacts(self._run, name)
        self._pictured = True
        self._links = baseline_links(self._client, chain, self._run, COMMIT)
        with together(self._client):
            show_columns(self._client, str(self.experiment_id), course.scores[0].name)
            self._tags({_NOTE: self._describe(chain)})

    def model(
        self, chain: Sequence[Commit], make: MakeModel | None, register: str | None = None, status: str | None = None
    ) -> None:
        """Log the model of the last commit unless it is there, with the metrics that it reached.

        Args:
            status: of the run, set with the model.

        Raises:
            ExportFailed: the model cannot be exported; everything else of the run is written.
        """
        tags = {PIPELINE: self._pipeline.name}
        owner = Owner(str(self.experiment_id), self._run, chain[-1].id, len(chain) - 1, tags)

        def also(model: str) -> None:
            time = of.milliseconds(chain[-1])
            values = {name: round(value, 12) for name, value in self._metrics(chain).items() if value is not None}
            points = [Point(of.key_of(name), value, time, owner.step) for name, value in values.items()]
            self._log(self._run, points, model)
            self._model = model
            self._tags({_NOTE: self._describe(chain)})
            if status is not None:
                self.status(status, chain)

        model = find_model(self._client, owner) if make is None else log_model(self._client, owner, make, also)
        if model is not None and make is None:
            also(model)
        if model is not None and register is not None:
            register_model(connect(self._uri), register, model, owner)

    def status(self, status: str, chain: Sequence[Commit]) -> None:
        """Set the run's status, if it differs. The end time of a finished run is that of its last commit."""
        end = None
        if status != "RUNNING":
            end = of.milliseconds(chain[-1]) if status == "FINISHED" and chain else _now()
        if status == self._status and (status != "FINISHED" or end == self._end):
            return
        if end is None:
            self._client.update_run(self._run, status=status)
        else:
            self._client.set_terminated(self._run, status=status, end_time=end)
        self._status, self._end = status, end

    @property
    def _run(self) -> str:
        if self.run_id is None:
            raise RuntimeError("the view is not open")
        return self.run_id

    def _find(self) -> Run | None:
        found = self._search(f"tags.`{RUN}` = '{self._key}'")
        # Two runs exist if the server created one after the client's request had timed out: use the one with content.
        return min(
            found, key=lambda run: (COMMIT not in run.data.tags, run.info.start_time, run.info.run_id), default=None
        )

    def _search(self, query: str) -> list[Run]:
        found: list[Run] = []
        token: str | None = ""
        while token is not None:
            page = self._client.search_runs([self.experiment_id], query, max_results=1000, page_token=token or None)
            found += page
            token = page.token or None
        return found

    def _create(self, chain: Sequence[Commit]) -> Run:
        start = min(_now(), of.start_milliseconds(chain)) if chain else _now()
        tags = {RUN: self._key, PIPELINE: self._pipeline.name, **_origin()}
        # The UI's legends show the names of runs, so the names within an experiment must differ.
        name = f"{self._pipeline.name} ({'+'.join(strategy.name for strategy in self._pipeline.strategy)})"
        run: Run = self._client.create_run(self.experiment_id, start, tags, name)
        return run

    def _child(self, chain: Sequence[Commit], index: int) -> str:
        if index not in self._children:
            commit = chain[index]
            tags = {_PARENT: self._run, EXPERIENCE: str(index), COMMIT: commit.id, PIPELINE: self._pipeline.name}
            tags["mlflow.runColor"] = experience_colours(self._length)[index]
            start = of.start_milliseconds(chain[index : index + 1])
            name = self._name(index)
            child = self._client.create_run(self.experiment_id, start, {**tags, **_origin()}, name).info.run_id
            self._inputs(child, [commit])
            self._log_params(child, _experience_parameters(commit))
            self._client.set_terminated(child, "FINISHED", of.milliseconds(commit))
            self._children[index] = child
        return self._children[index]

    def _name(self, index: int) -> str:
        """`03 cat, dog`: padded with zeros, because the UI sorts by characters; without a name `experience_03`."""
        label, name = of.label(index, self._length), self._names[index] if index < len(self._names) else None
        return label if name is None else f"{label.removeprefix('experience_')} {name}"

    def _inputs(self, run: str, commits: Sequence[Commit]) -> None:
        kinds = entities(self._client)
        data = [dataset_input(kinds, self._pipeline, one, self._name(one.experience.index)) for one in commits]
        self._client.log_inputs(run, datasets=data)

    def _log(self, run: str, points: Iterable[Point], model: str | None = None) -> None:
        kind = entities(self._client).Metric
        metrics = [kind(point.key, point.value, point.time, point.step, model_id=model) for point in points]
        for start in range(0, len(metrics), _METRICS):
            self._client.log_batch(run, metrics=metrics[start : start + _METRICS])

    def _log_parameters(self, run: Run) -> None:
        """Parameters cannot change in MLflow: one that an earlier attempt set stays, such as the number of workers."""
        known = run.data.params
        self._log_params(self._run, {key: value for key, value in self._pipeline.flat().items() if key not in known})

    def _log_params(self, run: str, values: Mapping[str, Any]) -> None:
        kind = entities(self._client).Param
        params = [kind(_name(key), redact(str(value))[:_LONGEST]) for key, value in values.items()]
        for start in range(0, len(params), _PARAMETERS):
            self._client.log_batch(run, params=params[start : start + _PARAMETERS])

    def _tags(self, tags: Mapping[str, str]) -> None:
        kind = entities(self._client).RunTag
        self._client.log_batch(self._run, tags=[kind(key, value) for key, value in tags.items()])

    def _metrics(self, chain: Sequence[Commit]) -> dict[str, float | None]:
        return course_metrics(self._course.follow(chain), chain, self._reference(chain), len(chain) - 1)[-1]

    def _reference(self, chain: Sequence[Commit]) -> Sequence[float | None]:
        return () if self._find_reference is None else self._find_reference(chain)

    def _headline(self, metrics: Mapping[str, float | None]) -> str:
        return headline([strategy.name for strategy in self._pipeline.strategy], metrics)

    def _describe(self, chain: Sequence[Commit]) -> str:
        return description(
            self._course.follow(chain).rows,
            self._metrics(chain),
            strategies=[strategy.name for strategy in self._pipeline.strategy],
            stream_length=self._length,
            commit=chain[-1].id,
            uri=redact(resolve_uri(self._uri)),
            model=f"models:/{self._model}" if self._model else None,
            pictures=pictures(self._run, self._course) if self._pictured else {},
            links=self._links,
        )


def _origin() -> dict[str, str]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):
        user = "unknown"
    return {"mlflow.user": user, "mlflow.source.name": "everlearn", "mlflow.source.type": "LOCAL"}


def _experience_parameters(commit: Commit) -> dict[str, Any]:
    experience = commit.experience
    return {
        "experience": experience.index,
        "task": experience.task,
        "classes": json.dumps(list(experience.classes)),
        "samples": experience.samples,
    }


def _name(key: str) -> str:
    """A parameter's name in the characters that MLflow takes."""
    return "".join(character if character.isalnum() or character in "_-. :/" else "_" for character in key)[:250]


def _now() -> int:
    return time.time_ns() // 1_000_000

"""How what waits to be trained differs from what was learned: in its inputs, its labels, and the model's errors.

Compared are test sets, which the store keeps, with those of the last experiences: nothing is read from the source, and
the cost does not grow with the past.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.errors import CorruptBlob

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit
    from orchestrator.lineage.lineage import Lineage
    from pipelines.config.schema import Pipeline
    from pipelines.data.streams import Stream

COMPARED = 8
"""Experiences whose test sets are what is usual."""
FOLLOWED = 30
"""Experiences whose errors, each before it was learned, are what is usual."""
LEAST_GROWTH = 0.05
"""A growth of the errors below this share is ignored, even where it is significant."""


@dataclass
class Observed:
    """What was found of the experiences that wait.

    Attributes:
        drift: a sentence on each difference.
        errors: a sentence, where the errors have grown.
        measures: the figures behind them, as plain data.
    """

    drift: list[str] = field(default_factory=list)
    errors: str | None = None
    measures: dict[str, Any] = field(default_factory=dict)


def observe(pipeline: Pipeline, stream: Stream, waiting: int, latest: Commit, lineage: Lineage) -> Observed:
    """Compare the last experiences of a stream, which are not trained yet, with those before them.

    Args:
        stream: without what was rolled back.
        waiting: how many of its last experiences are not trained.
        latest: the newest commit.

    Raises:
        StorageError: a test set or a commit cannot be read.
    """
    from pipelines.drift.stream_drift import chunk_drift

    found = Observed()
    done = len(stream) - waiting
    past = [stream[index].test for index in range(max(0, done - COMPARED), done)]
    for index in range(done, len(stream)) if past else ():
        for name, verdict in chunk_drift(past, stream[index].test, stream.outputs, seed=pipeline.seed).items():
            what = "inputs" if name != "labels" else name
            found.measures.setdefault(what, []).append(
                {"effect": verdict.effect, "usual": verdict.usual, "p_value": verdict.p_value, "drift": verdict.drift}
            )
            if verdict.drift:
                found.drift.append(f"experience {index}: {what} differ by {verdict.effect:.3f}")
    _observe_errors(found, pipeline, stream, done, latest, lineage)
    return found


def _observe_errors(
    found: Observed, pipeline: Pipeline, stream: Stream, done: int, latest: Commit, lineage: Lineage
) -> None:
    from orchestrator.updates.model_answers import ModelAnswers
    from pipelines.drift.error_change import error_change

    chunks = [counts for _, counts in prequential_errors(lineage, latest, FOLLOWED)]
    try:
        answers = ModelAnswers(lineage, pipeline, stream).assess(latest, range(done, len(stream))).right
    except CorruptBlob as error:
        found.measures["errors"] = {"gap": str(error).splitlines()[0]}
        return
    chunks += [(int((~answers[i]).sum()), len(answers[i])) for i in sorted(answers)]
    if not chunks:
        return
    # A change in any of those that wait: one that is over again when the last has come is none.
    change = error_change([wrong for wrong, _ in chunks], [samples for _, samples in chunks])
    found.measures["errors"] = {"before": change.before, "now": change.now, "chunks": change.chunks}
    if change.grown and change.now - change.before >= LEAST_GROWTH:
        found.errors = f"errors grew from {change.before:.3f} to {change.now:.3f}"
        found.drift.append(found.errors)


def prequential_errors(lineage: Lineage, latest: Commit, most: int) -> list[tuple[int, tuple[int, int]]]:
    """The last experiences, and errors and samples of their test sets by the model before each, oldest first.

    Args:
        most: so many commits are read.

    Raises:
        StorageError: a commit cannot be read.
    """
    found: list[tuple[int, tuple[int, int]]] = []
    commit: Commit | None = latest
    for _ in range(most):
        if commit is None or commit.parent is None:
            break
        parent = lineage.read_if_there(commit.parent)
        counts: Sequence[Any] = (*commit.previous, *(parent.row if parent is not None else ()))
        index = commit.experience.index
        count = next((one for one in counts if one.experience == index), None)
        if count is not None and count.correct is not None and count.total:
            found.append((index, (count.total - count.correct, count.total)))
        commit = parent
    return found[::-1]

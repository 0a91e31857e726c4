"""Two models on the same recorded inputs: how often they agree, where they differ, and how long they take."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.prediction.predicting import is_language_model, manner, predictions
from orchestrator.prediction.predictions import ClassPredictions, LabelPredictions, ValuePredictions
from orchestrator.serving.request_body import FORMS, Question, inputs_of
from pipelines.config.pipeline_errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from orchestrator.prediction.predictions import Predictions
    from orchestrator.serving.model_swap import ServedModel

ROWS = 1024
"""Rows that both models are asked at a time."""


@dataclass
class ShadowResult:
    """What was found.

    Attributes:
        rows: that both models answered.
        same: rows with the same answer; of values, those that differ by less than a ten-thousandth.
        flips: how often the champion's class became which one, (champion's, candidate's); of classes alone.
        difference: sum over the rows of the largest distance between two probabilities, or two values.
        labelled: rows whose label is known and that are of classes.
        right: of these, those that the champion and the candidate answered right.
        times: seconds of the champion and the candidate, for each batch.
    """

    rows: int = 0
    same: int = 0
    flips: Counter[tuple[str, str]] = field(default_factory=Counter)
    difference: float = 0.0
    labelled: int = 0
    right: tuple[int, int] = (0, 0)
    times: list[tuple[float, float]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Shares and means; `latency_ratio` is the median over the batches of candidate by champion."""
        found: dict[str, Any] = {
            "rows": self.rows,
            "agreement": self.same / self.rows,
            "flips": [{"from": a, "to": b, "rows": count} for (a, b), count in self.flips.most_common()],
            "mean_difference": self.difference / self.rows,
            "latency_ratio": median(candidate / champion for champion, candidate in self.times),
        }
        if self.labelled:
            champion, candidate = (right / self.labelled for right in self.right)
            found["accuracy"] = {"rows": self.labelled, "champion": champion, "candidate": candidate}
        return found


def compare_models(champion: ServedModel, candidate: ServedModel, source: str) -> ShadowResult:
    """Send recorded inputs to two models.

    Args:
        source: a file: requests, a JSON object in each line as `POST /predict` takes it; or a table (.parquet, .csv,
            .jsonl), with labels or not.

    Raises:
        DataError: it cannot be read, has no rows, or does not fit one of the models; or the models answer with
            different names.
    """
    if is_language_model(champion.model):
        raise DataError(
            "shadow compares answers for rows, which a language model does not give: score the same texts "
            "with `everlearn predict` for both commits"
        )
    if manner(champion.model).names != manner(candidate.model).names:
        raise DataError("the two models have different outputs: their answers cannot be compared")
    result = ShadowResult()
    batches = (
        _requests(champion, candidate, Path(source)) if _is_requests(source) else _table(champion, candidate, source)
    )
    for number, (first, second, labels) in enumerate(batches):
        # Each is the first one half of the times.
        order = [(0, champion, first), (1, candidate, second)][:: 1 if number % 2 else -1]
        found: dict[int, tuple[Predictions, float]] = {}
        for place, served, inputs in order:
            began = time.perf_counter()
            answers = predictions(served.model, inputs)
            found[place] = answers, time.perf_counter() - began
        _add(result, found[0][0], found[1][0], labels)
        result.times.append((found[0][1], found[1][1]))
    if not result.rows:
        raise DataError(f"--requests {source}: has no rows")
    return result


def _add(result: ShadowResult, first: Predictions, second: Predictions, labels: Any) -> None:
    result.rows += len(first)
    if isinstance(first, ClassPredictions) and isinstance(second, ClassPredictions):
        result.same += int((first.labels == second.labels).sum())
        pairs = zip(first.labels.tolist(), second.labels.tolist(), strict=True)
        result.flips.update(pair for pair in pairs if pair[0] != pair[1])
        result.difference += float(np.abs(first.probabilities - second.probabilities).max(1).sum())
        if labels is not None:
            result.labelled += len(labels)
            right = [int((found.labels == labels).sum()) for found in (first, second)]
            result.right = (result.right[0] + right[0], result.right[1] + right[1])
    elif isinstance(first, LabelPredictions) and isinstance(second, LabelPredictions):
        result.same += int((first.chosen == second.chosen).all(1).sum())
        result.difference += float(np.abs(first.probabilities - second.probabilities).max(1).sum())
    elif isinstance(first, ValuePredictions) and isinstance(second, ValuePredictions):
        result.same += int(np.isclose(first.values, second.values, rtol=1e-4, atol=1e-8).all(1).sum())
        result.difference += float(np.abs(first.values - second.values).max(1).sum())


def _is_requests(source: str) -> bool:
    """Whether the first line of a file is a request."""
    if not source.endswith(".jsonl") or "://" in source:
        return False
    try:
        with Path(source).open(encoding="utf-8") as file:
            document = json.loads(file.readline())
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and any(isinstance(document.get(form), list | dict) for form in FORMS)


def _requests(champion: ServedModel, candidate: ServedModel, file: Path) -> Iterator[tuple[Tensor, Tensor, None]]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield inputs_of(Question(line), champion), inputs_of(Question(line), candidate), None
            except DataError as error:
                raise DataError(f"{file}, line {number}: {error}") from None


def _table(champion: ServedModel, candidate: ServedModel, source: str) -> Iterator[tuple[Tensor, Tensor, Any]]:
    from pipelines.data.datasets.location import Location
    from pipelines.data.row_batches import TABLES, TEXTS, table_batches

    location = Location.of(source)
    if not location.name.lower().endswith(TABLES):
        raise DataError(f"--requests {source}: must be a file that ends in {', '.join(TABLES)}")
    uses = [manner(served.model).inputs for served in (champion, candidate)]
    preprocessing, label = uses[0].preprocessing, uses[0].columns.label
    text = location.name.lower().endswith(TEXTS)
    first_row = 0
    for table in table_batches(location, list, preprocessing.kinds if preprocessing else {}, ROWS):
        one, two = (use.of_table(table, location.path, first_row, text=text) for use in uses)
        known = isinstance(label, str) and label in table.column_names and not table[label].null_count
        yield one, two, np.array(list(map(str, table[label].to_pylist()))) if known else None
        first_row += len(table)

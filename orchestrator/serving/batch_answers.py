"""Answers for a batch of requests, all from the same commit: one pass through the model for all rows of the batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import TYPE_CHECKING, Any

import torch

from orchestrator.prediction.answers import ClassPredictions, LabelPredictions, ValuePredictions
from orchestrator.prediction.predicting import manner, predictions
from orchestrator.serving.request_body import Question, TooManyRows, inputs_of
from pipelines.config.pipeline_errors import PipelineError

if TYPE_CHECKING:
    from torch import Tensor

    from orchestrator.prediction.answers import Predictions
    from orchestrator.serving.model_swap import ServedModel


@dataclass(frozen=True)
class Reply:
    """What a client gets for one request.

    Attributes:
        status: of HTTP: 200, 400 where the request is wrong, 413 where it is too large.
        document: plain data for JSON.
        commit: the one that answered.
        rows: how many were answered.
    """

    status: int
    document: dict[str, Any]
    commit: str
    rows: int = 0


def answer_batch(served: ServedModel, questions: Sequence[Question]) -> list[Reply]:
    """A reply for each request, in their order. A request that does not fit does not disturb the others.

    Rows of several requests go through the model together. Where a model's answer for a row depends on how many rows
    there are, which on a CPU is a matter of the last bits, so does the reply.
    """
    inputs: dict[int, Tensor] = {}
    replies: dict[int, Reply] = {}
    for place, question in enumerate(questions):
        try:
            inputs[place] = inputs_of(question, served)
        except PipelineError as error:
            replies[place] = Reply(413 if isinstance(error, TooManyRows) else 400, problem(str(error)), served.commit)
    for places in _alike(inputs):
        found = predictions(served.model, torch.cat([inputs[place] for place in places]))
        start = 0
        for place in places:
            end = start + len(inputs[place])
            document = {"commit": served.commit, **as_document(_part(found, start, end))}
            replies[place] = Reply(200, document, served.commit, end - start)
            start = end
    return [replies[place] for place in range(len(questions))]


def problem(text: str) -> dict[str, Any]:
    """The document of a reply that is no answer."""
    return {"error": text}


def input_schema(served: ServedModel) -> dict[str, Any]:
    """What a model takes and gives, for `GET /`."""
    use = manner(served.model)
    schema: dict[str, Any] = {"input_shape": list(use.inputs.shape), "outputs": list(use.names)}
    preprocessing = use.inputs.preprocessing
    if preprocessing is not None:
        # Tables with images are refused: what is taken are inputs.
        schema |= {} if preprocessing.images else {"columns": dict(preprocessing.kinds)}
    elif use.inputs.columns.inputs is not None:
        schema["columns"] = dict.fromkeys(use.inputs.columns.inputs, "numeric")
    return schema


@singledispatch
def as_document(found: Predictions) -> dict[str, Any]:
    """Predictions as plain data. Numbers that are not finite, which JSON lacks, are null.

    Returns:
        `names` of the outputs, `predictions` (n), and with classes and labels `probabilities` (n, outputs).
    """
    raise TypeError(f"no document for {type(found).__name__}")


@as_document.register
def _(found: ClassPredictions) -> dict[str, Any]:
    return _document(found.names, found.labels.tolist(), found.probabilities)


@as_document.register
def _(found: LabelPredictions) -> dict[str, Any]:
    chosen = [[name for name, is_one in zip(found.names, row, strict=True) if is_one] for row in found.chosen.tolist()]
    return _document(found.names, chosen, found.probabilities)


@as_document.register
def _(found: ValuePredictions) -> dict[str, Any]:
    values = _finite(found.values)
    return {"names": list(found.names), "predictions": [row[0] for row in values] if len(found.names) == 1 else values}


def _document(names: Sequence[str], answers: list[Any], probabilities: Any) -> dict[str, Any]:
    return {"names": list(names), "predictions": answers, "probabilities": _finite(probabilities)}


def _finite(values: Any) -> list[list[float | None]]:
    return [[number if math.isfinite(number) else None for number in row] for row in values.tolist()]


def _alike(inputs: dict[int, Tensor]) -> list[list[int]]:
    """Places whose inputs can go through the model together: of one dtype."""
    groups: dict[torch.dtype, list[int]] = {}
    for place, tensor in inputs.items():
        groups.setdefault(tensor.dtype, []).append(place)
    return list(groups.values())


def _part(found: Predictions, start: int, end: int) -> Predictions:
    if isinstance(found, ClassPredictions):
        return ClassPredictions(found.names, found.labels[start:end], found.probabilities[start:end])
    if isinstance(found, LabelPredictions):
        return LabelPredictions(found.names, found.chosen[start:end], found.probabilities[start:end])
    assert isinstance(found, ValuePredictions)
    return ValuePredictions(found.names, found.values[start:end])

"""Answers for a batch of requests, all from the same commit: one pass through the model for all rows of the batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import singledispatch
from typing import TYPE_CHECKING, Any

import torch

from orchestrator.prediction.predicting import ROWS, manner, predictions
from orchestrator.prediction.predictions import ClassPredictions, LabelPredictions, ValuePredictions
from orchestrator.serving.request_body import Question, TooManyRows, inputs_of
from pipelines.config.pipeline_errors import DataError, PipelineError
from strategies.networks.task_network import TaskNetwork

if TYPE_CHECKING:
    from torch import Tensor, nn

    from orchestrator.prediction.predictions import Predictions
    from orchestrator.serving.model_swap import ServedModel

_FEW = 1024
"""Rows of a request at most that go through a model together with those of other experiences."""


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
            check_experience(served, question.experience)
            inputs[place] = inputs_of(question, served)
        except PipelineError as error:
            replies[place] = Reply(413 if isinstance(error, TooManyRows) else 400, problem(str(error)), served.commit)
    network = task_network(served.model)
    for places in _alike(inputs, questions):
        with _for_experiences(network, inputs, questions, places):
            found = predictions(served.model, torch.cat([inputs[place] for place in places]))
        start = 0
        for place in places:
            end = start + len(inputs[place])
            experience = questions[place].experience
            named = {} if experience is None else {"experience": experience}
            document = {"commit": served.commit, **named, **as_document(_part(found, start, end))}
            replies[place] = Reply(200, document, served.commit, end - start)
            start = end
    return [replies[place] for place in range(len(questions))]


def task_network(model: nn.Module) -> TaskNetwork | None:
    """The part of a model that has outputs for each experience; None: it has none."""
    return next((part for part in model.modules() if isinstance(part, TaskNetwork)), None)


def experiences_of(served: ServedModel) -> list[int]:
    """The experiences that have outputs of their own, in the order of learning."""
    network = task_network(served.model)
    return [] if network is None else [int(network.head(k).experience) for k in range(len(network.heads))]


def check_experience(served: ServedModel, experience: int | None) -> None:
    """Raises DataError: a request names an experience that the model has no adapter or head for."""
    known = experiences_of(served)
    if experience is not None and experience not in known:
        raise DataError(
            f"experience={experience}: "
            + (
                f"was not learned by commit {served.commit[:12]}, which has experiences {', '.join(map(str, known))}"
                if known
                else "the model has no adapter or head of its own for each experience: leave experience out"
            )
        )


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
    experiences = experiences_of(served)
    return schema | ({"experiences": experiences} if experiences else {})


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


def _alike(inputs: dict[int, Tensor], questions: Sequence[Question]) -> list[list[int]]:
    """Places whose inputs can go through the model together: of one dtype, and all for an experience, or none.

    Those for several experiences are no more rows than pass through a model at a time, so that each meets its own.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    rows = 0
    for place, tensor in inputs.items():
        experience = questions[place].experience
        if experience is not None and len(tensor) < _FEW:
            rows += len(tensor)
            key: tuple[object, ...] = (tensor.dtype, "mixed", rows // (ROWS - _FEW))
        else:
            key = (tensor.dtype, experience)
        groups.setdefault(key, []).append(place)
    return list(groups.values())


def _for_experiences(
    network: TaskNetwork | None, inputs: dict[int, Tensor], questions: Sequence[Question], places: Sequence[int]
) -> AbstractContextManager[None]:
    """Lets each row be answered for the experience that its request names, if it does."""
    named = [(questions[place].experience, len(inputs[place])) for place in places]
    experiences = [number for number, _ in named if number is not None]
    if network is None or not experiences:
        return nullcontext()
    if len(set(experiences)) == 1:
        return network.answering_for(experiences[:1])
    return network.answering_for([number for number, rows in named for _ in range(rows) if number is not None])


def _part(found: Predictions, start: int, end: int) -> Predictions:
    if isinstance(found, ClassPredictions):
        return ClassPredictions(found.names, found.labels[start:end], found.probabilities[start:end])
    if isinstance(found, LabelPredictions):
        return LabelPredictions(found.names, found.chosen[start:end], found.probabilities[start:end])
    assert isinstance(found, ValuePredictions)
    return ValuePredictions(found.names, found.values[start:end])

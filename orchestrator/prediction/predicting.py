"""The module of a commit with a method `predict`, which takes tables and tensors and answers with class names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from pipelines.config.pipeline_errors import PipelineError

if TYPE_CHECKING:
    from torch import Tensor

    from orchestrator.prediction.predictions import Predictions
    from pipelines.data.datasets.document_reader import DocumentReader
    from pipelines.data.model_inputs import ModelInputs

ROWS = 8192
"""Inputs that go through a model at a time."""


@dataclass(frozen=True)
class Manner:
    """How a model is used.

    Attributes:
        inputs: from tables to the model's inputs.
        names: of the output units.
        answers: from outputs and names to predictions.
        refused: why the model alone does not answer as its pipeline does; None: it does.
        documents: makes tokens of documents; None: the model is no language model, or its dataset has no tokenizer.
    """

    inputs: ModelInputs
    names: tuple[str, ...]
    answers: Callable[[Tensor, Sequence[str]], Predictions]
    refused: str | None = None
    documents: DocumentReader | None = None


class Predicting(nn.Module):
    """Attributes that are added to a loaded model. Their names are unlikely to occur in a model of a user's own."""

    _manner_of_use: Manner

    def predict(self, data: Any) -> Predictions:
        """The answers for some inputs, in batches.

        Args:
            data: a table by columns (a pandas data frame, an arrow table, a mapping of names to columns, or a list of
                rows as mappings), with at least the columns that it was trained on; or a tensor or array
                (n, *input_shape) as the data set stores it.

        Raises:
            DataError: a column is missing, a value is of another kind than in training, or the shape is another one.
            PipelineError: the model alone does not answer as its pipeline does.
        """
        return predictions(self, manner(self).inputs.of(data))


def manner(model: Predicting) -> Manner:
    """How a loaded model is used."""
    return model._manner_of_use


def is_language_model(model: Predicting) -> bool:
    """Whether a loaded model continues texts, instead of predicting for rows."""
    from orchestrator.prediction.predictions import tokens

    return manner(model).answers is tokens


@torch.no_grad()
def predictions(model: Predicting, inputs: Tensor) -> Predictions:
    """The answers for inputs as `ModelInputs` makes them. Raises PipelineError as `Predicting.predict`."""
    from strategies.loop.input_scaling import input_dtype, prepared

    use = manner(model)
    if use.refused is not None:
        raise PipelineError(use.refused)
    dtype, device = input_dtype(model), next((p.device for p in model.parameters()), torch.device("cpu"))
    outputs = []
    for part in inputs.split(ROWS) if len(inputs) else [inputs]:
        output: Tensor = model(prepared(part.to(device), dtype))
        outputs.append(output if output.dim() > 1 else output.view(len(part), -1))
    return use.answers(torch.cat(outputs), use.names)


def with_predict(model: nn.Module, use: Manner) -> Predicting:
    """The same module with the method `predict`; its class is one derived from its own."""
    kind = type(model)
    model.__class__ = type(kind.__name__, (Predicting, kind), {"__module__": kind.__module__})
    predicting = cast("Predicting", model)
    object.__setattr__(predicting, "_manner_of_use", use)
    return predicting

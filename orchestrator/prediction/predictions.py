"""Predictions as a person reads them, from a model's outputs: classes, labels or values, as the objective says."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from orchestrator.errors import OrchestratorError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from orchestrator.lineage.commit import Commit
    from strategies.objectives.objective import TargetKind


class Predictions(Protocol):
    """The answers for some inputs.

    Attributes:
        names: what each output of the model stands for.
    """

    names: tuple[str, ...]

    def __len__(self) -> int: ...

    def columns(self) -> dict[str, NDArray[Any]]:
        """What a table of them has, each (n,)."""
        ...

    def counts(self) -> Counter[str]:
        """How often each name is the answer; empty where answers are values."""
        ...


@dataclass(eq=False)
class ClassPredictions:
    """One of several classes for each input.

    Attributes:
        names: the name of each class, in the order of the model's outputs.
        labels: (n,) the name of the most probable class.
        probabilities: (n, classes) float32.
    """

    names: tuple[str, ...]
    labels: NDArray[np.str_]
    probabilities: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)

    def columns(self) -> dict[str, NDArray[Any]]:
        """`prediction`, and `probability_<name>` of each class."""
        return {"prediction": self.labels} | _each("probability", self.names, self.probabilities)

    def counts(self) -> Counter[str]:
        """Inputs by their class."""
        return Counter(self.labels.tolist())


@dataclass(eq=False)
class LabelPredictions:
    """Any number of labels for each input.

    Attributes:
        names: the name of each label, in the order of the model's outputs.
        chosen: (n, labels) bool: whether its probability is at least a half.
        probabilities: (n, labels) float32.
    """

    names: tuple[str, ...]
    chosen: NDArray[np.bool_]
    probabilities: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.chosen)

    def columns(self) -> dict[str, NDArray[Any]]:
        """`prediction_<name>` and `probability_<name>` of each label."""
        return _each("prediction", self.names, self.chosen) | _each("probability", self.names, self.probabilities)

    def counts(self) -> Counter[str]:
        """Inputs that have each label."""
        return Counter(dict(zip(self.names, self.chosen.sum(0).tolist(), strict=True)))


@dataclass(eq=False)
class ValuePredictions:
    """Numbers for each input.

    Attributes:
        names: of the values, in the order of the model's outputs.
        values: (n, k) float32, in the unit of the targets.
    """

    names: tuple[str, ...]
    values: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.values)

    def columns(self) -> dict[str, NDArray[Any]]:
        """`prediction` of a single value, else `prediction_<name>` of each."""
        if len(self.names) == 1:
            return {"prediction": self.values[:, 0]}
        return _each("prediction", self.names, self.values)

    def counts(self) -> Counter[str]:
        """Nothing: values are not counted."""
        return Counter()


def classes(output: Tensor, names: Sequence[str]) -> ClassPredictions:
    """The classes of logits, (n, units)."""
    probabilities = torch.softmax(output.float(), dim=1).cpu().numpy()
    found = output.argmax(dim=1).cpu().numpy()
    return ClassPredictions(tuple(names), np.array(names, dtype=np.str_)[found], probabilities)


def labels(output: Tensor, names: Sequence[str]) -> LabelPredictions:
    """The labels of logits, (n, units)."""
    probabilities = torch.sigmoid(output.float()).cpu().numpy()
    return LabelPredictions(tuple(names), probabilities >= 0.5, probabilities)


def numbers(output: Tensor, names: Sequence[str]) -> ValuePredictions:
    """The values of outputs in the targets' unit, (n, units)."""
    return ValuePredictions(tuple(names), output.float().cpu().numpy())


def tokens(output: Tensor, names: Sequence[str]) -> Predictions:
    """Raise OrchestratorError: a language model continues texts, and predicts nothing for rows of a table."""
    raise OrchestratorError(
        "a model of objective: next-token predicts nothing for rows: `everlearn predict` and `everlearn serve` score "
        "documents with it, and orchestrator.load_model(...) gives the model itself"
    )


ANSWERS: dict[TargetKind, Callable[[Tensor, Sequence[str]], Predictions]] = {
    "classes": classes,
    "labels": labels,
    "numbers": numbers,
    "tokens": tokens,
}
"""From outputs (n, units) and names of the units, by what the objective's targets are."""


def answers_of(commit: Commit) -> Callable[[Tensor, Sequence[str]], Predictions]:
    """What makes predictions of the outputs of a commit's model, and of the units' names."""
    from pipelines.config.components import resolve

    objective: Any = commit.spec.get("objective") or {}
    return ANSWERS[resolve("objectives", str(objective.get("name", "classification"))).targets]


def _each(what: str, names: Sequence[str], values: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return {f"{what}_{name}": values[:, k] for k, name in enumerate(names)}

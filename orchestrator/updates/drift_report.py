"""What `everlearn drift` shows beside its tests: errors of the model before each experience, and what an estimate says.

None of it decides: the errors are followed by ADWIN, the accuracy is estimated from how certain a model is (CBPE).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from orchestrator.updates.observe_pending import FOLLOWED, prequential_errors
from pipelines.data.datasets.label_columns import is_columns
from pipelines.drift.error_change import error_change
from pipelines.drift.estimated_accuracy import estimated_accuracy
from pipelines.drift.stream_drift import sampled_rows

if TYPE_CHECKING:
    from torch import Tensor

    from orchestrator.lineage.commit import Commit
    from orchestrator.lineage.lineage import Lineage
    from pipelines.data.samples import StoredSamples
    from pipelines.data.streams import Stream


@dataclass(frozen=True)
class Errors:
    """Errors on an experience's test set, by the model before it was learned.

    Attributes:
        share: of them.
        before, now: share in the older and in the newer part of ADWIN's window.
        grown: whether there is a change for the worse.
    """

    share: float
    before: float
    now: float
    grown: bool


@dataclass(frozen=True)
class Accuracy:
    """A model's accuracy on an experience's test set.

    Attributes:
        estimated: from how certain it is, without the labels (CBPE).
        measured: with them.
    """

    estimated: float
    measured: float


def followed_errors(lineage: Lineage, latest: Commit) -> dict[int, Errors]:
    """Of the last 30 experiences of a chain, as its commits record them.

    Raises:
        StorageError: a commit cannot be read.
    """
    chunks = prequential_errors(lineage, latest, FOLLOWED)
    found: dict[int, Errors] = {}
    for place, (index, (wrong, samples)) in enumerate(chunks):
        seen = [counts for _, counts in chunks[: place + 1]]
        change = error_change([errors for errors, _ in seen], [total for _, total in seen])
        found[index] = Errors(wrong / samples, change.before, change.now, change.grown)
    return found


def estimated_accuracies(
    stream: Stream, outputs: Callable[[Tensor], Tensor], learned: int, seed: int
) -> dict[int, Accuracy]:
    """Of a model, on at most 1000 samples of each test set; empty where targets are no classes, or tasks are given.

    Args:
        outputs: logits of stored inputs, (n, units).
        learned: test sets up to this experience say how often the model is right when it is how certain.
    """
    if not _estimates(stream):
        return {}
    answers = [_answers(experience.test, outputs, seed) for experience in stream]
    known = answers[: learned + 1]
    calibration = tuple(np.concatenate(part) for part in zip(*known, strict=True))
    return {
        index: Accuracy(
            estimated_accuracy(shares, calibration=(calibration[0], calibration[1])),
            float((shares.argmax(axis=1) == targets).mean()),
        )
        for index, (shares, targets) in enumerate(answers)
    }


def estimated_on(
    samples: StoredSamples, stream: Stream, outputs: Callable[[Tensor], Tensor], learned: int, seed: int
) -> float | None:
    """The same for samples whose labels are not known; None where `estimated_accuracies` has none."""
    if not _estimates(stream):
        return None
    known = [_answers(stream[index].test, outputs, seed) for index in range(min(learned + 1, len(stream)))]
    shares, targets = (np.concatenate(part) for part in zip(*known, strict=True))
    return estimated_accuracy(_answers(samples, outputs, seed)[0], calibration=(shares, targets))


def _estimates(stream: Stream) -> bool:
    return stream.setting != "task-incremental" and not is_columns(stream[0].test.targets)


def _answers(
    samples: StoredSamples, outputs: Callable[[Tensor], Tensor], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The shares that a model gives each class on some samples, and their labels."""
    import torch

    inputs, targets = sampled_rows(samples, seed)
    return torch.softmax(outputs(inputs).double(), dim=1).numpy(), targets.numpy()

"""From the results of an evaluation to the record in a commit.

Whether a test sample was classified correctly is stored as a bit, so that this run or another can count the flips of
the next commit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from orchestrator.lineage.measurements import ACCURACY, QualityRecord, ScoreRecord, TestCount
from pipelines.config.named_scores import named_scores

if TYPE_CHECKING:
    from torch import Tensor

    from pipelines.config.schema import Pipeline
    from pipelines.data.streams import Stream
    from strategies.loop.evaluation import Count, Evaluation

ANSWERS = "answers"
"""Name of the blob in a commit."""


def packed(right: Mapping[int, Tensor]) -> dict[str, Tensor]:
    """Eight samples a byte, by the experience's index as text.

    Args:
        right: by experience, (n,) bool.
    """
    return {str(index): torch.from_numpy(np.packbits(bits.numpy())) for index, bits in right.items()}


def unpacked(tensors: Mapping[str, Tensor], row: Sequence[TestCount]) -> dict[int, Tensor]:
    """The right answers by experience, from the bytes that `packed` returned.

    Args:
        row: of the commit that they belong to, which knows the sizes of the test sets.

    Raises:
        ValueError: they do not belong to such a row.
    """
    counts = {count.experience: count for count in row}
    found: dict[int, Tensor] = {}
    for name, bits in tensors.items():
        count = counts.get(int(name))
        if count is None or bits.dtype != torch.uint8 or len(bits) != -(-count.total // 8):
            raise ValueError("answers of other test sets")
        right = torch.from_numpy(np.unpackbits(bits.numpy(), count=count.total).astype(bool))
        if count.correct is not None and int(right.sum()) != count.correct:
            raise ValueError("answers that do not agree with the row")
        found[int(name)] = right
    return found


def flips(before: Mapping[int, Tensor], now: Mapping[int, Tensor], index: int) -> tuple[int, ...] | None:
    """For each experience before `index`, how many samples were right `before` and are wrong `now`; None: not known."""
    if not index or any(j not in before or j not in now for j in range(index)):
        return None
    if any(before[j].shape != now[j].shape for j in range(index)):
        return None  # `everlearn forget` has taken samples out of a test set since
    return tuple(int((before[j] & ~now[j]).sum()) for j in range(index))


def quality(found: Evaluation, flips: tuple[int, ...] | None) -> QualityRecord:
    """The record of an evaluation."""
    scores = dict(found.scores) or None
    if found.classes is None:
        return QualityRecord(flips=flips, scores=scores)
    classes, confusion = found.classes, found.confusion
    units = classes[:, 1].nonzero().squeeze(1)
    wrong = None
    if confusion is not None:
        places = (confusion - confusion.diagonal().diag()).nonzero()
        wrong = tuple((r, a, int(confusion[r, a])) for r, a in places.tolist())
    return QualityRecord(
        flips=flips,
        classes=tuple((unit, *classes[unit].tolist()) for unit in units.tolist()),
        confusion=wrong,
        calibration=None if found.calibration is None else tuple(found.calibration),
        scores=scores,
    )


def score_records(pipeline: Pipeline) -> list[ScoreRecord] | None:
    """What the pipeline's commits are scored by; None for the accuracy alone."""
    scores = [ScoreRecord(name=one.name, unit=one.unit, better=one.better) for one in named_scores(pipeline)]
    return None if [one.name for one in scores] == [ACCURACY] else scores


def test_count(stream: Stream, index: int, count: Count) -> TestCount:
    """The record of what a model reached on the test set of experience `index`."""
    return TestCount(
        experience=index,
        test=stream.test_fingerprint(index),
        correct=count.correct,
        total=count.total,
        scores=dict(count.scores) or None,
    )

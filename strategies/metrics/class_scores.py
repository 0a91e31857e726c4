"""Scores in which each class counts the same, from whole counts: exact at any number of workers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

Counts = Sequence[tuple[int, int, int]]


def recalls(classes: Counts) -> dict[int, float]:
    """By class, the share of its samples that are classified right; classes without samples are left out.

    Args:
        classes: (class, samples classified right, samples).
    """
    return {label: right / total for label, right, total in classes if total}


def balanced_accuracy(classes: Counts) -> float:
    """Mean of the classes' recalls; NaN without samples.

    Brodersen et al. 2010, The balanced accuracy and its posterior distribution, for any number of classes.

    Args:
        classes: as in `recalls`.
    """
    found = recalls(classes).values()
    return sum(found) / len(found) if found else math.nan


def worst_recall(classes: Counts) -> float:
    """The lowest recall of a class; NaN without samples."""
    return min(recalls(classes).values(), default=math.nan)


def macro_f1(classes: Counts, confusion: Counts | None) -> float:
    """Mean over the classes that occur or are predicted of F1 = 2 TP / (2 TP + FP + FN); NaN where it is not known.

    Opitz & Burst 2019, Macro F1 and macro F1, equation 2 (the mean of the F1 scores), as in scikit-learn.

    Args:
        classes: as in `recalls`.
        confusion: (class, predicted class, samples) of the samples classified wrong; None: not counted.
    """
    if confusion is None:
        return math.nan
    right = {label: hits for label, hits, _ in classes}
    actual = {label: total for label, _, total in classes if total}
    predicted = Counter(right)
    for _, answer, samples in confusion:
        predicted[answer] += samples
    labels = actual.keys() | {label for label, samples in predicted.items() if samples}
    # 2 TP + FP + FN is the number of samples of the class and of those predicted as it.
    scores = [2 * right.get(label, 0) / (actual.get(label, 0) + predicted[label]) for label in sorted(labels)]
    return sum(scores) / len(scores) if scores else math.nan

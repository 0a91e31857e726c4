"""The metrics of a chain of commits, by name (see `strategies.metrics.definitions`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.lineage.running_matrix import Course
from strategies.metrics.definitions import as_matrix, expected_calibration_error, negative_flips

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit

Metrics = dict[str, float | None]


def chain_metrics(
    chain: Sequence[Commit], tests: Sequence[str] | None = None, reference: Sequence[float | None] = ()
) -> list[Metrics]:
    """All metrics after each commit of a chain; None where one is not defined or not known.

    Args:
        chain: commits from experience 0, oldest first.
        tests: fingerprints of the stream's test sets; None: those of the last commit.
        reference: what joint training reaches on each experience when it is new, as far as that is known (see
            `orchestrator.lineage.joint_reference`).
    """
    return course_metrics(Course(tests).follow(chain), chain, reference)


def course_metrics(
    course: Course, chain: Sequence[Commit], reference: Sequence[float | None] = (), first: int = 0
) -> list[Metrics]:
    """As `chain_metrics`, from commit `first` on, of a chain that `course` has followed."""
    missing = [None] * (len(chain) - len(reference))
    lacking = as_matrix([[*reference, *missing]])[0][: len(chain)] - course.learned[: len(chain)]
    # The sum of what is not learned any more, up to each experience: see `intransigence` in strategies.metrics.
    sums = np.cumsum(lacking)
    return [
        {
            **course.summaries[k],
            "intransigence": _known(float(sums[k]) / (k + 1)),
            "negative_flips": _flips(chain[k]),
            "expected_calibration_error": _calibration(chain[k]),
            "model_parameters": size.parameters if size else None,
            "model_bytes": size.bytes if size else None,
            "memory_bytes": size.memory if size else None,
            "training_seconds": _seconds(chain[k]),
        }
        for k in range(first, len(chain))
        for size in (chain[k].size,)
    ]


def class_accuracy(commit: Commit) -> dict[int, float]:
    """Accuracy on each output unit's samples, over the test sets of the experiences so far; ascending."""
    classes = commit.quality.classes if commit.quality else ()
    return {unit: right / total for unit, right, total in sorted(classes) if total}


def confusion_matrix(commit: Commit) -> list[list[int]] | None:
    """Samples by the unit that is right (row) and the one that answered (column), over the test sets of the
    experiences so far; None where that was not counted."""
    if commit.quality is None or commit.quality.confusion is None:
        return None
    wrong = commit.quality.confusion
    units = 1 + max([u for u, _, _ in commit.quality.classes] + [u for r, a, _ in wrong for u in (r, a)], default=-1)
    matrix = [[0] * units for _ in range(units)]
    for unit, right, _ in commit.quality.classes:
        matrix[unit][unit] = right
    for unit, answer, samples in wrong:
        matrix[unit][answer] = samples
    return matrix


def _flips(commit: Commit) -> float | None:
    if commit.quality is None or commit.quality.flips is None:
        return None
    totals = {count.experience: count.total for count in commit.row}
    flips = commit.quality.flips
    return _known(negative_flips(flips, [totals.get(j, 0) for j in range(len(flips))]))


def _calibration(commit: Commit) -> float | None:
    bins = commit.quality.calibration if commit.quality else None
    return _known(expected_calibration_error(bins)) if bins else None


def _seconds(commit: Commit) -> float | None:
    """Of learning an experience and of what the strategies do at its end; its last sitting, if there were several."""
    return commit.timings["learn"] + commit.timings.get("consolidate", 0.0) if "learn" in commit.timings else None


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value

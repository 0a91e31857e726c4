"""The metrics of a chain of commits, by name (see `strategies.metrics`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orchestrator.lineage.accuracy_matrix import values_of
from orchestrator.lineage.measurements import ACCURACY
from orchestrator.lineage.running_matrix import Course
from strategies.metrics import as_matrix, metrics_for

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit
    from strategies.metrics import Evidence

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
    sign = 1 if course.scores[0].better == "higher" else -1
    joint = sign * as_matrix([[*reference, *missing]])[0]
    metrics = metrics_for(course.scores)
    # The scores of other objectives need no counts by class.
    classified = course.scores[0].name == ACCURACY or any(c.quality is None or c.quality.classes for c in chain[-1:])
    found = []
    for k in range(first, len(chain)):
        evidence = replace(_counted(course.evidence(k), chain[k]), reference=joint[: k + 1])
        evidence = replace(evidence, each=_each(course, chain[k], k))
        # What follows from the matrix alone is there already: later commits do not change it.
        known = course.summaries[k]
        values = {m.name: known[m.name] if m.name in known else m.value(evidence) for m in metrics}
        if not classified:
            values = {m.name: values[m.name] for m in metrics if m.scope != "answers" or values[m.name] is not None}
        found.append(values)
    return found


def _each(course: Course, commit: Commit, k: int) -> dict[str, Any]:
    """The further scores of the commit on the test sets of the experiences so far."""
    return {
        score.name: as_matrix([values_of(commit.row, course.tests, score.name)])[0][: k + 1]
        for score in course.scores[1:]
    }


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


def _counted(evidence: Evidence, commit: Commit) -> Evidence:
    """With what a commit counted and measured beside the matrix."""
    quality, size, totals = commit.quality, commit.size, {count.experience: count.total for count in commit.row}
    flips = (quality.flips if quality else None) or ()
    return replace(
        evidence,
        flips=flips,
        totals=[totals.get(j, 0) for j in range(len(flips))],
        classes=quality.classes if quality else (),
        confusion=quality.confusion if quality else None,
        bins=(quality.calibration if quality else None) or (),
        scores=(quality.scores if quality else None) or {},
        parameters=size.parameters if size else math.nan,
        model_bytes=size.bytes if size else math.nan,
        memory_bytes=size.memory if size else math.nan,
        seconds=_seconds(commit),
    )


def _seconds(commit: Commit) -> float:
    """Of learning an experience and of what the strategies do at its end; of the last invocation, if several."""
    if "learn" not in commit.timings:
        return math.nan
    return commit.timings["learn"] + commit.timings.get("consolidate", 0.0)

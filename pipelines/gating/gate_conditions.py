"""The conditions of a gate: what was found of each, and the verdict that follows from all.

A finding is `passed` where it is shown that the limit is kept, `refused` where it is shown that it is not, and
`undecided` where there are too few samples to tell. It is `outlived` where it no longer counts, because the change that
breaks it has lasted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipelines.gating.calibration_change import CalibrationChange
from pipelines.gating.paired_tests import (
    PairedCounts,
    bootstrap_interval,
    no_worse_p_value,
    rate_p_values,
    samples_to_decide,
    worse_p_value,
)

Outcome = Literal["passed", "refused", "undecided"]
SCORE = "score"


@dataclass(frozen=True)
class Levels:
    """How certain a finding must be.

    Attributes:
        refuse: p-value at or below which a condition is refused: what the error budget gives this test.
        accept: p-value at or below which a condition is shown to hold, 1 - confidence.
    """

    refuse: float
    accept: float


@dataclass(frozen=True)
class Finding:
    """What was found of one condition.

    Attributes:
        condition: `score`, `forgetting`, `holdout`, `recent`, `negative_flips`, `calibration`, `slices`, `latency`,
            `size` or `lasting`.
        subject: the part that was judged, such as `experience 2`; empty: everything together.
        outcome: see the module.
        value: what was measured.
        limit: what it is compared with.
        within: whether the measured value keeps the limit.
        p_refused, p_passed: how often the value is found by chance where the limit is kept, and where it is not; None
            for what is measured without chance.
        level: the p-value that a refusal needs.
        samples: how many were compared; 0 where it has no samples.
        interval: of the value, at the gate's confidence, by the paired bootstrap; None: not known.
        wanted: about how many samples would decide an undecided score or drop of it.
    """

    condition: str
    subject: str
    outcome: Outcome | Literal["outlived"]
    value: float
    limit: float
    within: bool
    p_refused: float | None = None
    p_passed: float | None = None
    level: float | None = None
    samples: int = 0
    interval: tuple[float, float] | None = None
    wanted: int | None = None


def drop_finding(condition: str, subject: str, pairs: PairedCounts, margin: float, levels: Levels) -> Finding:
    """Whether the candidate's accuracy is lower than the champion's by more than `margin`."""
    refused = worse_p_value(pairs, margin, level=levels.refuse)
    passed = no_worse_p_value(pairs, margin)
    outcome = _outcome(refused, passed, levels)
    return Finding(
        condition,
        subject,
        outcome,
        value=pairs.difference,
        limit=-margin,
        within=pairs.difference >= -margin,
        p_refused=refused,
        p_passed=passed,
        level=levels.refuse,
        samples=pairs.samples,
        interval=bootstrap_interval(pairs, confidence=1 - levels.accept),
        wanted=samples_to_decide(pairs, margin, level=levels.accept) if outcome == "undecided" else None,
    )


def flips_finding(pairs: PairedCounts, most: float, levels: Levels) -> Finding:
    """Whether more than the share `most` of all samples was answered right by the champion and wrong by the candidate.

    Source: Yan et al. 2021, Positive-congruent training (negative flip rate).
    """
    refused, passed = rate_p_values(pairs.lost, pairs.samples, most)
    rate = pairs.lost / pairs.samples if pairs.samples else 0.0
    return Finding(
        "negative_flips",
        "",
        _outcome(refused, passed, levels),
        value=rate,
        limit=most,
        within=rate <= most,
        p_refused=refused,
        p_passed=passed,
        level=levels.refuse,
        samples=pairs.samples,
    )


def calibration_finding(change: CalibrationChange, margin: float, samples: int, levels: Levels) -> Finding:
    """Whether the expected calibration error grew by more than `margin`."""
    refused, passed = change.p_values(margin)
    return Finding(
        "calibration",
        "",
        _outcome(refused, passed, levels),
        value=change.difference,
        limit=margin,
        within=change.difference <= margin,
        p_refused=refused,
        p_passed=passed,
        level=levels.refuse,
        samples=samples,
    )


def latency_finding(ratios: Sequence[float], most: float, levels: Levels) -> Finding:
    """Whether the candidate takes more than `most` times as long as the champion, by the sign test.

    Args:
        ratios: of the times of both models on the same batch, measured one after the other; at least one.
    """
    slower = sum(ratio > most for ratio in ratios)
    refused, passed = rate_p_values(slower, len(ratios), 0.5)
    middle = sorted(ratios)[len(ratios) // 2]
    return Finding(
        "latency",
        "",
        _outcome(refused, passed, levels),
        value=middle,
        limit=most,
        within=middle <= most,
        p_refused=refused,
        p_passed=passed,
        level=levels.refuse,
        samples=len(ratios),
    )


def size_finding(ratio: float, most: float) -> Finding:
    """Whether the candidate is more than `most` times as large as the champion."""
    return Finding("size", "", "passed" if ratio <= most else "refused", ratio, most, ratio <= most)


def overall(findings: Sequence[Finding]) -> Outcome:
    """The verdict of all findings.

    It is refused where any condition is. It passes where the score is shown to hold, and every other condition is, or
    at least keeps its limit in what was measured (old experiences and slices are often too small to show more), or is
    outlived. It is undecided otherwise.
    """
    if any(finding.outcome == "refused" for finding in findings):
        return "refused"
    shown = all(f.outcome in ("passed", "outlived") or (f.condition != SCORE and f.within) for f in findings)
    return "passed" if shown else "undecided"


def _outcome(refused: float, passed: float, levels: Levels) -> Outcome:
    if refused <= levels.refuse:
        return "refused"
    return "passed" if passed <= levels.accept else "undecided"

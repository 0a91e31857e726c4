"""The evidence of a gate: two models on the same test samples, from what their commits record and from evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.errors import CorruptBlob, StorageError
from pipelines.gating.calibration_change import CalibrationChange, calibration_change
from pipelines.gating.paired_tests import PairedCounts, count_pairs

if TYPE_CHECKING:
    from torch import Tensor

    from orchestrator.lineage.commit import Commit
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.updates.model_answers import ModelAnswers
    from pipelines.config.sections.gate_section import GateSpec


@dataclass
class Evidence:
    """What is known of a candidate against the champion.

    Attributes:
        experiences: their answers on the test set of each experience that both were asked, by its index.
        old: the experiences among them that the champion has learned.
        classes: their answers by output unit.
        calibration: of the same test sets; None: not known.
        ratios: of the times of predictions; empty: not measured.
        size: how many times as large the candidate's model is; None: not known.
        gaps: what could not be compared, and why.
    """

    experiences: dict[int, PairedCounts] = field(default_factory=dict)
    old: set[int] = field(default_factory=set)
    classes: dict[int, PairedCounts] = field(default_factory=dict)
    calibration: CalibrationChange | None = None
    ratios: list[float] = field(default_factory=list)
    size: float | None = None
    gaps: list[str] = field(default_factory=list)

    @property
    def together(self) -> PairedCounts:
        """All samples."""
        return sum(self.experiences.values(), PairedCounts(0, 0, 0))


def gather(
    lineage: Lineage, champion: Commit, candidate: Commit, gate: GateSpec, models: ModelAnswers | None
) -> Evidence:
    """Compare two commits on the test sets of the experiences that the candidate has learned.

    Answers that a commit records are taken from it; the champion's on experiences that are newer than it are evaluated,
    where their data is at hand.

    Args:
        models: evaluates models; None: only what the commits record is used.

    Raises:
        StorageError: a commit's records cannot be read.
    """
    found = Evidence()
    tests = {count.experience: count.test for count in candidate.row if count.experience <= candidate.experience.index}
    theirs = _answers(lineage, champion, tests, models, found.gaps)
    ours = _answers(lineage, candidate, tests, models, found.gaps)
    for experience in sorted(theirs.keys() & ours.keys()):
        first, second = theirs[experience].numpy(), ours[experience].numpy()
        found.experiences[experience] = count_pairs(first, second)
        if gate.slices is not None and models is not None and models.knows(experience, tests[experience]):
            _count_classes(found, models, experience, theirs[experience], ours[experience])
    found.old = {i for i in found.experiences if i <= champion.experience.index}
    if gate.slices is not None and not found.classes:
        found.gaps.append("slices: the data of no common test set is at hand")
    if champion.size is not None and candidate.size is not None and champion.size.bytes:
        found.size = candidate.size.bytes / champion.size.bytes
    _measure(found, champion, candidate, gate, models, tests)
    return found


def _answers(
    lineage: Lineage, commit: Commit, tests: Mapping[int, str], models: ModelAnswers | None, gaps: list[str]
) -> dict[int, Tensor]:
    """Which test samples the commit's model answers right, (n,) bool by experience."""
    from orchestrator.checkpointing.snapshot import load_answers

    recorded = load_answers(lineage, commit)
    own = {count.experience: count.test for count in commit.row}
    found = {i: recorded[i] for i, test in tests.items() if i in recorded and own.get(i) == test}
    lacking = [i for i in tests if i not in found]
    there = [i for i in lacking if models is not None and models.knows(i, tests[i])]
    if models is not None and there:
        try:
            found |= models.assess(commit, there).right
        except CorruptBlob as error:
            gaps.append(f"score: {str(error).splitlines()[0]}, so that it is not compared on newer test sets")
        except StorageError as error:
            gaps.append(f"score: {str(error).splitlines()[0]}")
    elif lacking:
        listed = ", ".join(map(str, lacking))
        gaps.append(f"score: commit {commit.id[:12]} was not asked the test sets of experience {listed}")
    return found


def _count_classes(found: Evidence, models: ModelAnswers, experience: int, theirs: Tensor, ours: Tensor) -> None:
    targets = models.stream[experience].test.targets
    if targets.dim() != 1 or targets.is_floating_point():
        return
    for unit in targets.unique().tolist():
        chosen = targets == unit
        pairs = count_pairs(theirs[chosen].numpy(), ours[chosen].numpy())
        found.classes[unit] = found.classes.get(unit, PairedCounts(0, 0, 0)) + pairs


def _measure(
    found: Evidence,
    champion: Commit,
    candidate: Commit,
    gate: GateSpec,
    models: ModelAnswers | None,
    tests: Mapping[int, str],
) -> None:
    """Add the calibration and the latency, where the gate asks for them."""
    if gate.calibration is None and gate.latency is None:
        return
    common = [i for i in found.experiences if models is not None and models.knows(i, tests[i])]
    if models is None or not common:
        found.gaps.append("calibration and latency: the data of no common test set is at hand")
        return
    try:
        if gate.latency is not None:
            found.ratios = models.time_ratios(champion, candidate, common[-1])
        if gate.calibration is not None:
            theirs, ours = (models.assess(commit, common).calibration for commit in (champion, candidate))
            if theirs is None or ours is None:
                found.gaps.append("calibration: a model's scores are no logits, so that it has no confidence")
            else:
                found.calibration = calibration_change(theirs, ours)
    except CorruptBlob as error:
        found.gaps.append(f"calibration and latency: {str(error).splitlines()[0]}")

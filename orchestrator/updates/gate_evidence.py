"""The evidence of a gate: two models on the same test samples, from what their commits record and from evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from orchestrator.errors import CorruptBlob, StorageError
from orchestrator.lineage.accuracy_matrix import is_partial
from orchestrator.updates.gate_capabilities import ComparedCapability, compare_capabilities
from pipelines.data.named_columns import named_columns
from pipelines.gating.calibration_change import CalibrationChange, calibration_change
from pipelines.gating.column_slices import column_slices
from pipelines.gating.paired_tests import PairedCounts, count_pairs

if TYPE_CHECKING:
    from torch import Tensor

    from orchestrator.lineage.commit import Commit
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.updates.model_answers import ModelAnswers
    from pipelines.config.sections.gate_section import GateSpec, SlicesCondition


@dataclass
class Evidence:
    """What is known of a candidate against the champion.

    Attributes:
        experiences: their answers on the test set of each experience that both were asked, by its index.
        old: the experiences among them that the champion has learned.
        recent: on the test sets that are newest, of experiences that neither was trained on where there are any; None:
            not known.
        holdout: on the frozen holdout; None: not known.
        kept: on the samples of the holdout that are of experiences which the champion has learned.
        lasted: on those that are newer than the champion and older than the newest `gate.holdout.lasting` experiences;
            None: not asked for, or there are none.
        on_holdout: whether the score is that on the holdout, and not on all of `experiences`.
        classes: their answers by output unit.
        columns: by parts of columns, by their names.
        calibration: of the same test sets; None: not known.
        ratios: of the times of predictions; empty: not measured.
        size: how many times as large the candidate's model is; None: not known.
        capabilities: of both models, by name.
        gaps: what could not be compared, and why.
    """

    experiences: dict[int, PairedCounts] = field(default_factory=dict)
    old: set[int] = field(default_factory=set)
    recent: PairedCounts | None = None
    holdout: PairedCounts | None = None
    kept: PairedCounts | None = None
    lasted: PairedCounts | None = None
    on_holdout: bool = False
    classes: dict[int, PairedCounts] = field(default_factory=dict)
    columns: dict[str, PairedCounts] = field(default_factory=dict)
    calibration: CalibrationChange | None = None
    ratios: list[float] = field(default_factory=list)
    size: float | None = None
    capabilities: dict[str, ComparedCapability] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)

    @property
    def together(self) -> PairedCounts:
        """All samples that the score is on."""
        if self.on_holdout:
            return self.holdout or PairedCounts(0, 0, 0)
        return self.tested

    @property
    def tested(self) -> PairedCounts:
        """All samples of test sets."""
        return sum(self.experiences.values(), PairedCounts(0, 0, 0))


def gather(
    lineage: Lineage, champion: Commit, candidate: Commit, gate: GateSpec, models: ModelAnswers | None
) -> Evidence:
    """Compare two commits on the test sets of the experiences that the candidate has learned; where the score is on the
    holdout, on it and on those test sets that the candidate was evaluated on.

    Answers that a commit records are taken from it; the champion's on experiences that are newer than it are evaluated,
    where their data is at hand, and so are both models' on test sets that `evaluate` in the pipeline file left out.

    Args:
        models: evaluates models; None: only what the commits record is used.

    Raises:
        StorageError: a commit's records cannot be read.
    """
    found = Evidence(on_holdout=gate.score.on == "holdout")
    tests = _asked(candidate, gate) if found.on_holdout else _tests(candidate, models, found.gaps)
    theirs = _answers(lineage, champion, tests, models, found.gaps)
    ours = _answers(lineage, candidate, tests, models, found.gaps)
    for experience in sorted(theirs.keys() & ours.keys()):
        found.experiences[experience] = count_pairs(theirs[experience].numpy(), ours[experience].numpy())
    found.old = {i for i in found.experiences if i <= champion.experience.index}
    if gate.slices is not None:
        at_hand = [i for i in found.experiences if models is not None and models.knows(i, tests[i])]
        _slice(found, models, {i: (theirs[i], ours[i]) for i in at_hand}, gate.slices)
    if gate.recent is not None:
        found.recent = _recent(champion, candidate, models, found)
    if gate.holdout is not None:
        _hold_out(lineage, champion, candidate, gate.holdout.lasting, models, found)
    if champion.size is not None and candidate.size is not None and champion.size.bytes:
        found.size = candidate.size.bytes / champion.size.bytes
    _measure(found, champion, candidate, gate, models, tests)
    if gate.capabilities is not None:
        found.capabilities, lacking = compare_capabilities(lineage, champion, candidate, gate.capabilities)
        found.gaps += lacking
    return found


def _tests(candidate: Commit, models: ModelAnswers | None, gaps: list[str]) -> dict[int, str]:
    """The test sets of the experiences that the candidate has learned, by fingerprint."""
    index = candidate.experience.index
    found = {count.experience: count.test for count in candidate.row if count.experience <= index}
    left_out = [] if len(found) > index or not is_partial([candidate]) else [i for i in range(index) if i not in found]
    if not left_out:
        return found
    if models is not None and index < len(models.stream):
        stream = models.stream
        here = f"{stream.fingerprint(index)}:{stream.test_fingerprint(index)}"
        if here == candidate.experience.fingerprint:
            return dict(sorted((found | {i: stream.test_fingerprint(i) for i in left_out}).items()))
    gaps.append(f"score: `evaluate` left {len(left_out)} older test sets out, and their data is not at hand")
    return found


def _asked(candidate: Commit, gate: GateSpec) -> dict[int, str]:
    """Of the test sets that the candidate was evaluated on, those that a condition beside the score needs."""
    index = candidate.experience.index
    found = {count.experience: count.test for count in candidate.row if count.experience <= index}
    many = (gate.forgetting, gate.slices, gate.calibration, gate.latency)
    return found if any(one is not None for one in many) else {i: test for i, test in found.items() if i == index}


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


def _recent(champion: Commit, candidate: Commit, models: ModelAnswers | None, found: Evidence) -> PairedCounts | None:
    """Both models on what waits to be trained; else on the newest test set that both were asked."""
    newest = max(champion.experience.index, candidate.experience.index) + 1
    waiting = range(newest, len(models.stream)) if models is not None else range(0)
    if models is not None and waiting:
        try:
            theirs, ours = (models.assess(commit, waiting).right for commit in (champion, candidate))
            pairs = [count_pairs(theirs[i].numpy(), ours[i].numpy()) for i in waiting]
            return sum(pairs, PairedCounts(0, 0, 0))
        except CorruptBlob as error:
            found.gaps.append(f"recent: {str(error).splitlines()[0]}")
    return found.experiences[max(found.experiences)] if found.experiences else None


def _hold_out(
    lineage: Lineage,
    champion: Commit,
    candidate: Commit,
    lasting: int | None,
    models: ModelAnswers | None,
    found: Evidence,
) -> None:
    """Add the answers of both models on the frozen holdout."""
    from orchestrator.updates.admission_log import read_admissions
    from orchestrator.updates.frozen_holdout import held_experiences

    state = read_admissions(lineage)
    if state is None or state.holdout is None:
        found.gaps.append("holdout: none was drawn yet: `everlearn step` draws it from a stream.source")
        return
    if models is None:
        found.gaps.append("holdout: models are not evaluated here")
        return
    last, known = candidate.experience.index, champion.experience.index
    settled = known if lasting is None else max(known, last - lasting)
    try:
        held = held_experiences(lineage, state, models.stream, last, cuts=(known, settled), together=models.by_network)
        theirs, ours = (models.assess_on(commit, held).right for commit in (champion, candidate))
    except CorruptBlob as error:
        found.gaps.append(f"holdout: {str(error).splitlines()[0]}")
        return
    pairs = {i: count_pairs(theirs[i].numpy(), ours[i].numpy()) for i in theirs}
    found.holdout = sum(pairs.values(), PairedCounts(0, 0, 0))
    found.kept = sum((one for i, one in pairs.items() if i <= known), PairedCounts(0, 0, 0))
    lasted = sum((one for i, one in pairs.items() if known < i <= settled), PairedCounts(0, 0, 0))
    found.lasted = lasted if lasted.samples else None


def _slice(
    found: Evidence, models: ModelAnswers | None, answers: Mapping[int, tuple[Tensor, Tensor]], slices: SlicesCondition
) -> None:
    """Count by class and by columns, over all test sets that are at hand."""
    if models is None or not answers:
        found.gaps.append("slices: the data of no common test set is at hand")
        return
    theirs, ours = (torch.cat([pair[side] for pair in answers.values()]).numpy() for side in (0, 1))
    tests = [models.stream[i].test for i in answers]
    columns = {column.name: column for column in named_columns(models.stream)}
    for name in [slices.by] if isinstance(slices.by, str) else dict.fromkeys(slices.by):
        if name == "class":
            targets = [test.targets for test in tests]
            if all(one.dim() == 1 and not one.is_floating_point() for one in targets):
                joined = torch.cat(targets).numpy()
                for unit in np.unique(joined).tolist():
                    found.classes[unit] = count_pairs(theirs[joined == unit], ours[joined == unit])
            continue
        if name not in columns:
            found.gaps.append(f"slices: the inputs have no column {name!r}")
            continue
        column = columns[name]
        values = [test.take(torch.arange(len(test)))[0][:, column.position] for test in tests]
        parts = column_slices(name, torch.cat(values).double().numpy(), column.value_name)
        found.columns |= {part: count_pairs(theirs[chosen], ours[chosen]) for part, chosen in parts.items()}


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

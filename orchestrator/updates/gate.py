"""The gate: whether a commit may become the champion, judged by paired comparison with the champion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from orchestrator.errors import StorageError
from orchestrator.lineage.claim import OnWarning, claimed
from orchestrator.lineage.decisions import (
    Decision,
    DecisionState,
    append_decision,
    decision_index,
    newest_first,
    read_decision,
    settle,
    tainted,
)
from orchestrator.updates.gate_capabilities import CAPABILITIES, capability_finding
from orchestrator.updates.lasting_change import KEPT, LASTING, with_lasting_change
from pipelines.config.sections.gate_section import GateSpec
from pipelines.gating.error_budget import refusal_level
from pipelines.gating.gate_conditions import (
    SCORE,
    Finding,
    Levels,
    calibration_finding,
    drop_finding,
    flips_finding,
    latency_finding,
    overall,
    size_finding,
)

if TYPE_CHECKING:
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.updates.gate_evidence import Evidence
    from pipelines.config.schema import Pipeline
    from pipelines.data.streams import Stream
    from pipelines.gating.paired_tests import PairedCounts


def judge(
    lineage: Lineage,
    commit: str,
    gate: GateSpec | None = None,
    *,
    pipeline: Pipeline | None = None,
    stream: Stream | None = None,
    on_warning: OnWarning | None = None,
) -> Decision:
    """Judge a commit against the champion, and record the verdict. Nothing is promoted.

    A commit that was judged already, under the same conditions and against the same champion, is not judged again: the
    verdict that is recorded is returned. So an interrupted step can be repeated, and judging twice does not
    raise the rate of false refusals. The caller may hold the claim of a run.

    Args:
        commit: its id.
        gate: the conditions; None: those of the pipeline, or the default ones.
        pipeline, stream: to evaluate models on test sets that their commits do not record, such as the champion on the
            newest experience; None: only what the commits record is compared.
        on_warning: called with warnings.

    Returns:
        The verdict. Its `evidence` holds `findings`, `gaps` (what could not be compared), `conditions`, `candidate`.

    Raises:
        Claimed: another process is deciding on the pipeline.
        MissingKey: there is no such commit.
        StorageError: the storage cannot be used.
    """
    gate = gate or (pipeline.gate if pipeline is not None else None) or GateSpec()
    with claimed(lineage, "promotion", target=commit, on_warning=on_warning) as claim:
        held = lineage.fenced(claim.fence)
        return judge_held(held, commit, gate, settle(held), pipeline=pipeline, stream=stream)


def judge_held(
    lineage: Lineage,
    commit: str,
    gate: GateSpec,
    state: DecisionState,
    *,
    pipeline: Pipeline | None = None,
    stream: Stream | None = None,
) -> Decision:
    """As `judge`, for the holder of the claim `promotion`, who has settled the refs."""
    known = known_verdict(lineage, commit, gate, state)
    if known is not None:
        return known
    candidate = lineage.read(commit)
    document: dict[str, Any] = {"conditions": gate.conditions()}
    bad = tainted(lineage, commit, state.bad)
    if bad is not None:
        what = "it was" if bad == commit else f"it descends from commit {bad[:12]}, which was"
        return _record(lineage, commit, "refused", f"{what} rolled back", document, state)
    if state.champion is None:
        return _record(lineage, commit, "passed", "there is no champion to compare it with", document, state)
    if state.champion == commit:
        return _record(lineage, commit, "passed", "it is the champion", document, state)
    from orchestrator.updates.gate_evidence import gather
    from orchestrator.updates.model_answers import ModelAnswers

    models = ModelAnswers(lineage, pipeline, stream) if pipeline is not None and stream is not None else None
    evidence = gather(lineage, lineage.read(state.champion), candidate, gate, models)
    number = state.tests + 1
    level = refusal_level(number, state.refused, 1 - gate.score.confidence)
    findings = find(evidence, gate, level)
    outcome = overall(findings)
    document |= {"findings": [asdict(finding) for finding in findings], "gaps": evidence.gaps}
    refused = (*state.refused, number) if outcome == "refused" else state.refused
    after = state.model_copy(update={"tests": number, "refused": refused})
    return _record(lineage, commit, outcome, why(findings), document, after)


def known_verdict(lineage: Lineage, commit: str, gate: GateSpec, state: DecisionState) -> Decision | None:
    """The recorded verdict on a commit against the present champion; None where these conditions were not judged.

    Raises:
        StorageError: the decisions cannot be read.
    """
    for decision in _judged(lineage, commit):
        if decision.state.champion != state.champion or decision.state.bad != state.bad:
            return None
        same = decision.commit == commit and decision.evidence.get("conditions") == gate.conditions()
        if decision.kind == "verdict" and same:
            return decision
    return None


def _judged(lineage: Lineage, commit: str) -> Iterator[Decision]:
    """The verdicts on a commit since the champion changed, newest first; all decisions, where there is no index."""
    index = decision_index(lineage)
    if index is None:
        yield from newest_first(lineage)
        return
    for number in reversed(index.verdicts.get(commit, ())):
        decision = read_decision(lineage, number)
        if decision is not None:
            yield decision


def find(evidence: Evidence, gate: GateSpec, level: float) -> list[Finding]:
    """A finding for each condition of the gate.

    Args:
        level: of all refusals together; each of the tests gets an equal part (Bonferroni).
    """
    slices = gate.slices
    named = {f"class {unit}": pairs for unit, pairs in sorted(evidence.classes.items())} | evidence.columns
    parts = {name: p for name, p in named.items() if slices is not None and p.samples >= slices.minimum}
    extra = [
        (name, subject, condition.margin, pairs)
        for name, subject, condition, pairs in (
            ("holdout", "", gate.holdout, evidence.holdout),
            # What is newer than the champion speaks for whoever learned it, even where its labels are wrong.
            ("holdout", KEPT, gate.holdout, _apart(evidence)),
            ("recent", "", gate.recent, evidence.recent),
        )
        if condition is not None and pairs is not None
    ]
    old = {i: evidence.experiences[i] for i in sorted(evidence.old)} if gate.forgetting is not None else {}
    asked = [gate.negative_flips, gate.calibration, gate.latency]
    limits = sum(limit is not None for limit in asked)
    tests = 1 + len(old) + len(parts) + len(extra) + len(evidence.capabilities) + limits
    tests += evidence.lasted is not None
    levels = Levels(level / tests, 1 - gate.score.confidence)
    together = evidence.together
    findings = [drop_finding(SCORE, "", together, gate.score.margin, levels)]
    if gate.forgetting is not None:
        most = gate.forgetting.max
        findings += [drop_finding("forgetting", f"experience {i}", pairs, most, levels) for i, pairs in old.items()]
    findings += [drop_finding(name, subject, pairs, margin, levels) for name, subject, margin, pairs in extra]
    if gate.negative_flips is not None:
        findings.append(flips_finding(together, gate.negative_flips, levels))
    if gate.calibration is not None and evidence.calibration is not None:
        findings.append(calibration_finding(evidence.calibration, gate.calibration, evidence.tested.samples, levels))
    if slices is not None:
        findings += [drop_finding("slices", name, pairs, slices.margin, levels) for name, pairs in parts.items()]
    findings += [capability_finding(name, one, levels) for name, one in evidence.capabilities.items()]
    if gate.latency is not None and evidence.ratios:
        findings.append(latency_finding(evidence.ratios, gate.latency, levels))
    if gate.size is not None and evidence.size is not None:
        findings.append(size_finding(evidence.size, gate.size))
    return with_lasting_change(findings, evidence.lasted, gate.holdout, levels)


def _apart(evidence: Evidence) -> PairedCounts | None:
    """What the holdout has of the champion's experiences; None: nothing, or the whole of it."""
    kept = evidence.kept
    return kept if kept is not None and kept.samples and kept != evidence.holdout else None


def why(findings: list[Finding]) -> str:
    """One sentence for a person: what decided."""
    refused = [f for f in findings if f.outcome == "refused"]
    if refused:
        return "; ".join(_measured(finding) for finding in refused[:3]) + _newer(findings)
    score = findings[0]
    if score.outcome == "undecided":
        if not score.samples:
            return "no test samples were answered by both models"
        wanted = f"; about {score.wanted} would" if score.wanted and score.wanted > score.samples else ""
        return f"{_measured(score)}: {score.samples} samples cannot tell{wanted}"
    broken = [f for f in findings if f.outcome == "undecided" and not f.within]
    if broken:
        return f"{'; '.join(_measured(finding) for finding in broken[:3])}, which may be chance{_newer(findings)}"
    outlived = [f for f in findings if f.outcome == "outlived" or f.condition == LASTING]
    return "; ".join(_measured(finding) for finding in [score, *outlived])


def _newer(findings: list[Finding]) -> str:
    """What a person is asked where only what the champion has learned stands against a commit."""
    against = [f for f in findings if f.outcome == "refused" or (f.outcome == "undecided" and not f.within)]
    alone = findings[0].outcome == "passed" and all(f.subject == KEPT for f in against)
    return ". All else holds: are the newer labels wrong, or did their meaning change for good?" if alone else ""


def _measured(finding: Finding) -> str:
    name = f"{finding.condition} of {finding.subject}" if finding.subject else finding.condition
    signed = (SCORE, "forgetting", "holdout", "recent", "slices", "calibration", CAPABILITIES, LASTING)
    change = "+" if finding.condition in signed else ""
    return f"{name} {finding.value:{change}.4g} (limit {finding.limit:.4g})"


def _record(
    lineage: Lineage, commit: str, outcome: str, reason: str, evidence: dict[str, Any], state: DecisionState
) -> Decision:
    if not lineage.exists(commit):
        raise StorageError(f"commit {commit[:12]} was removed meanwhile")
    return append_decision(
        lineage, kind="verdict", commit=commit, outcome=outcome, reason=reason, evidence=evidence, state=state
    )

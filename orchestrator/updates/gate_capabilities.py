"""The gate's condition on capabilities: what the candidate's model must still be able to do, from recorded answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from orchestrator.lineage.capability_record import AnswersRecord, change
from pipelines.capabilities.capability_verdicts import likelihood_p_values
from pipelines.gating.gate_conditions import Finding, Levels, Outcome, drop_finding
from pipelines.gating.paired_tests import PairedCounts

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit
    from orchestrator.lineage.lineage import Lineage

CAPABILITIES = "capabilities"


@dataclass(frozen=True)
class ComparedCapability:
    """A capability of two models.

    Attributes:
        before, now: what the model that is compared with and the candidate answered to the same items.
        margin: the loss that is tolerated.
    """

    before: AnswersRecord
    now: AnswersRecord
    margin: float


def compare_capabilities(
    lineage: Lineage, champion: Commit, candidate: Commit, against: Literal["base", "champion"]
) -> tuple[dict[str, ComparedCapability], list[str]]:
    """The capabilities of a candidate by name, and what cannot be compared.

    Args:
        against: the model before the stream, or the champion.

    Raises:
        StorageError: a commit cannot be read.
    """
    if not candidate.capabilities:
        return {}, [f"{CAPABILITIES}: commit {candidate.id[:12]} was not asked for any"]
    held = champion.capabilities if against == "champion" else lineage.chain(candidate.id)[0].capabilities_before
    before = {(one.name, one.kind, one.data): one for one in held or ()}
    found: dict[str, ComparedCapability] = {}
    gaps = []
    for one in candidate.capabilities:
        other = before.get((one.name, one.kind, one.data))
        if other is None:
            gaps.append(f"{CAPABILITIES}: the {against} was not asked the items of {one.name}")
        else:
            found[one.name] = ComparedCapability(other, one, one.margin)
    return found, gaps


def capability_finding(name: str, compared: ComparedCapability, levels: Levels) -> Finding:
    """Whether a capability became worse by more than its margin.

    Raises:
        ValueError: recorded answers are damaged.
    """
    margin = compared.margin
    found = change(compared.before, compared.now, margin)
    if found.lost is not None and found.won is not None:
        pairs = PairedCounts(found.lost, found.won, found.items)
        return drop_finding(CAPABILITIES, name, pairs, margin, levels)
    refused, passed = likelihood_p_values(compared.before.unpacked(), compared.now.unpacked(), margin)
    outcome: Outcome = "undecided"
    if refused <= levels.refuse:
        outcome = "refused"
    elif passed <= levels.accept:
        outcome = "passed"
    value = found.value - found.base
    return Finding(
        CAPABILITIES,
        name,
        outcome,
        value=value,
        limit=-margin,
        within=value >= -margin,
        p_refused=refused,
        p_passed=passed,
        level=levels.refuse,
        samples=found.items,
    )

"""Whether a change has lasted, so that what the champion has learned no longer decides by itself.

Weeks of wrong labels and a change of what labels mean look the same while they go on: a model that follows them gains
on what is newer than the champion and loses on what is older. What tells them apart without a person is that wrong
labels end. So a change counts as lasting where the champion is shown to be worse on samples that came after it, and
before the newest `gate.holdout.lasting` experiences: a model of wrong labels has nothing to gain there as long as they
are younger than that. Samples between that are right speak for the champion: it is not the time since the last
promotion that counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipelines.config.sections.gate_section import HoldoutCondition
from pipelines.gating.gate_conditions import Finding, Levels, drop_finding
from pipelines.gating.paired_tests import PairedCounts

KEPT = "what the champion has learned"
"""The samples of the holdout that are of its experiences, as the subject of a finding."""
LASTING = "lasting"


def with_lasting_change(
    findings: Sequence[Finding], lasted: PairedCounts | None, holdout: HoldoutCondition | None, levels: Levels
) -> list[Finding]:
    """The findings; where what the champion has learned is lost, also one on whether the change has lasted.

    Args:
        lasted: candidate against champion, on samples after the champion and before the newest `holdout.lasting`
            experiences; None: there are none.
        levels: the champion is shown to be worse at the level at which a candidate would be refused.
    """
    broken = [
        f for f in findings if f.subject == KEPT and f.outcome != "passed" and not (f.outcome != "refused" and f.within)
    ]
    if not broken or lasted is None or holdout is None or holdout.lasting is None:
        return list(findings)
    turned = PairedCounts(lost=lasted.won, won=lasted.lost, samples=lasted.samples)
    champion = drop_finding(LASTING, "", turned, holdout.margin, levels)
    found = Finding(
        LASTING,
        f"a change of more than {holdout.lasting} experiences",
        "undecided",
        value=lasted.difference,
        limit=holdout.margin,
        within=True,
        p_passed=champion.p_refused,
        level=levels.refuse,
        samples=lasted.samples,
    )
    if champion.outcome != "refused":
        return [*findings, found]
    aside = [replace(f, outcome="outlived") if f in broken else f for f in findings]
    return [*aside, replace(found, outcome="passed")]

"""A change that has lasted: what the champion has learned no longer stands against a model by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.updates.admitted_stream import stream_of
from orchestrator.updates.gate import find, why
from orchestrator.updates.gate_evidence import Evidence, gather
from orchestrator.updates.lasting_change import KEPT
from orchestrator.updates.model_answers import ModelAnswers
from pipelines.config.sections.gate_section import GateSpec
from pipelines.gating.gate_conditions import Finding, overall
from pipelines.gating.paired_tests import PairedCounts
from tests.orchestrator.updates.arrivals import lineage_of
from tests.orchestrator.updates.held_out_stream import grow, held


def _lasting(kept: PairedCounts, lasted: PairedCounts | None, newer: PairedCounts, **more: int) -> list[Finding]:
    holdout = {"samples": 4000, "margin": 0.05, **more}
    gate = GateSpec.model_validate({"score": {"on": "holdout", "margin": 0.05}, "holdout": holdout, "forgetting": None})
    whole = kept + newer + (lasted or PairedCounts(0, 0, 0))
    return find(Evidence(holdout=whole, kept=kept, lasted=lasted, on_holdout=True), gate, 0.0025)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(300, 2000))
def test_a_change_lasts_where_samples_older_than_that_show_the_champion_to_be_worse(
    lost: int, won: int, newer: int
) -> None:
    kept, gain = PairedCounts(110, 0, 1000), PairedCounts(0, newer, newer)
    lasted = PairedCounts(lost, won, lost + won) if lost + won else None
    findings = _lasting(kept, lasted, gain, lasting=45)
    if won <= 2 * lost or won < 9:
        # Wrong labels that are younger gain nothing there, however much they gain where they are.
        assert overall(findings) == "refused" and "did their meaning change for good?" in why(findings)
    if won >= 20 and not lost:
        assert overall(findings) == "passed"
        assert "lasting of a change of more than 45 experiences +1" in why(findings)
        assert f"holdout of {KEPT} -0.11 (limit -0.05)" in why(findings)
        # Whatever else is broken stays so.
        assert overall(_lasting(kept, lasted, PairedCounts(newer, 0, newer), lasting=45)) == "refused"
    assert overall(_lasting(kept, None, gain + (lasted or PairedCounts(0, 0, 0)))) == "refused"
    assert [f.outcome for f in _lasting(PairedCounts(0, 0, 1000), lasted, gain, lasting=45)].count("outlived") == 0


@given(st.integers(0, 9))
def test_the_level_of_a_refusal_is_shared_with_the_test_of_a_change(seed: int) -> None:
    """Asking whether a change has lasted refuses nothing that would not be refused without it."""
    random = np.random.default_rng(seed)
    for _ in range(40):
        parts = [PairedCounts(int(random.integers(30)), int(random.integers(30)), 200) for _ in range(3)]
        if overall(_lasting(parts[0], parts[1], parts[2], lasting=5)) == "refused":
            assert overall(_lasting(parts[0], None, parts[1] + parts[2])) == "refused"


def test_samples_between_the_champion_and_the_newest_are_apart(tmp_path: Path) -> None:
    """Both models are asked the real holdout; a gate without the key has the conditions that it had."""
    pipeline = grow(tmp_path)
    lineage, stream = lineage_of(pipeline), stream_of(pipeline)
    champion, candidate = (commit for commit in lineage.chain(lineage.ref("latest").commit)[::2])  # type: ignore[union-attr]
    serials = held(pipeline)["serials"]
    models = ModelAnswers(lineage, pipeline, stream)
    for lasting, wanted in ((1, 1), (2, None), (None, None)):
        gate = GateSpec.model_validate({"holdout": {"samples": 50, "lasting": lasting}})
        found = gather(lineage, champion, candidate, gate, models)
        assert found.kept is not None and found.kept.samples == int((serials == 0).sum())
        assert found.holdout is not None and found.holdout.samples == 50
        assert (found.lasted and found.lasted.samples) == (wanted and int((serials == wanted).sum()))
    assert GateSpec.model_validate({"holdout": {}}).conditions()["holdout"] == {"samples": 2000, "margin": 0.02}

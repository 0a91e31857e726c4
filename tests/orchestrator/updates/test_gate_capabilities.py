"""The gate refuses a model that can no longer do what it could, by the answers that commits record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.lineage.capability_record import AnswersRecord, judged
from orchestrator.updates.gate import judge
from orchestrator.updates.promotion import promote
from pipelines.config.sections.gate_section import GateSpec
from tests.orchestrator.lineage.test_capability_record import answers, bits
from tests.orchestrator.updates.answered_commits import open_lineage, write_answered

BEFORE = answers(bits(list(range(900)), 1000))
TEXTS = answers(np.stack([-60.0 - np.arange(40) % 3, np.full(40, 20.0)], 1), "perplexity", "texts")


def asked(right: int, loss: float = 0.0) -> dict[str, Any]:
    values = TEXTS.unpacked() + np.array([[-20 * loss, 0.0]]) * (1 + np.arange(40)[:, None] % 5 / 9)
    now: list[AnswersRecord] = [answers(bits(list(range(right)), 1000)), answers(values, "perplexity", "texts")]
    margins = {"facts": 0.05, "texts": 0.05}
    return {"capabilities": judged([BEFORE, TEXTS], now, margins), "capabilities_before": [BEFORE, TEXTS]}


def test_small_losses_add_up_against_the_base_and_not_against_the_champion(tmp_path: Path) -> None:
    lineage = open_lineage(tmp_path)
    first = write_answered(lineage, None, [0.8], **asked(840))
    promote(lineage, first.id)
    fields = {**asked(800), "capabilities_before": None}
    second = write_answered(lineage, first, [0.85, 0.9], **fields)
    found = {}
    for against in ("base", "champion"):
        verdict = judge(lineage, second.id, GateSpec(capabilities=against))
        findings: Any = verdict.evidence["findings"]
        found[against] = [(f["subject"], f["outcome"]) for f in findings if f["condition"] == "capabilities"]
        assert verdict.outcome == ("refused" if against == "base" else "passed")
    assert found == {
        "base": [("facts", "refused"), ("texts", "passed")],
        "champion": [("facts", "undecided"), ("texts", "passed")],
    }
    assert judge(lineage, second.id).outcome == "passed"  # the condition is not asked for by itself


def test_texts_are_judged_and_what_was_not_asked_is_said(tmp_path: Path) -> None:
    lineage = open_lineage(tmp_path)
    first = write_answered(lineage, None, [0.8])
    promote(lineage, first.id)
    bare = write_answered(lineage, first, [0.85, 0.9])
    gaps: Any = judge(lineage, bare.id, GateSpec(capabilities="base")).evidence["gaps"]
    assert f"capabilities: commit {bare.id[:12]} was not asked for any" in gaps
    forgetful = write_answered(lineage, first, [0.85, 0.91], **{**asked(900, loss=0.5), "capabilities_before": None})
    gaps = judge(lineage, forgetful.id, GateSpec(capabilities="base")).evidence["gaps"]
    assert "capabilities: the base was not asked the items of facts" in gaps
    whole = write_answered(lineage, None, [0.9], spec={"seed": 1}, **asked(900, loss=0.5))
    verdict = judge(lineage, whole.id, GateSpec(capabilities="base"))
    assert verdict.outcome == "refused" and verdict.reason.startswith("capabilities of texts -0.")

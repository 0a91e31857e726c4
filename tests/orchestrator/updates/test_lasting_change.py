"""A change that has lasted: what the champion has learned no longer stands against a model by itself."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from orchestrator.updates.admission_log import read_admissions
from orchestrator.updates.admitted_stream import stream_of
from orchestrator.updates.gate import find, why
from orchestrator.updates.gate_evidence import Evidence, gather
from orchestrator.updates.lasting_change import KEPT
from orchestrator.updates.model_answers import ModelAnswers
from pipelines.config.schema import Pipeline
from pipelines.config.sections.gate_section import GateSpec
from pipelines.gating.gate_conditions import Finding, overall
from pipelines.gating.paired_tests import PairedCounts
from tests.orchestrator.updates.arrivals import lineage_of, pipeline_of, step

FILE = """
name: held
stream:
  source:
    {{path: "{folder}/in", format: csv, id: key, classes: 2, test: {{id_hash: 0.3}}, ready: {{age: 0s}}{more}}}
  setting: domain-incremental
model: {{name: mlp, hidden: [4]}}
train: {{batch_size: 20, optimizer: {{lr: 0.02}}}}
storage: "{folder}/store"
tracking: {{uri: "{folder}/mlflow"}}
gate:
  holdout: {{samples: 50, margin: 0.5}}
  recent: {{margin: 0.9}}
  slices: {{by: [class, region, amount, nothing], minimum: 5, margin: 0.9}}
  calibration: 0.9
  latency: 1000
  size: 2
  negative_flips: 0.9
  undecided: promote
  promote: automatic
"""


def deliver(folder: Path, name: str, keys: range, seed: int) -> None:
    random = np.random.default_rng(seed)
    lines = ["key,region,amount,label"]
    for key in keys:
        label = int(random.integers(2))
        lines.append(f"{key},{random.integers(3)},{label * 2 + random.normal():.4f},{label}")
    path = folder / "in" / f"{name}.csv"
    path.write_text("\n".join(lines) + "\n")
    then = time.time() - 1000 + seed
    os.utime(path, (then, then))


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three experiences in two steps; some ids are delivered twice."""
    folder = tmp_path_factory.mktemp("held")
    pipeline = pipeline_of(folder, text=FILE)
    deliver(folder, "a", range(200), 0)
    step(pipeline)
    deliver(folder, "b", range(150, 350), 1)
    deliver(folder, "c", range(300, 400), 2)
    step(pipeline)
    return folder


@pytest.fixture
def pipeline(grown: Path, tmp_path: Path) -> Pipeline:
    shutil.copytree(grown, tmp_path, dirs_exist_ok=True)
    return pipeline_of(tmp_path, text=FILE)


def held(pipeline: Pipeline) -> dict[str, Tensor]:
    lineage = lineage_of(pipeline)
    state = read_admissions(lineage)
    assert state is not None
    blob = state.holdout_blob()
    assert blob is not None
    return lineage.tensors(blob.sha256)


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


def test_samples_between_the_champion_and_the_newest_are_apart(pipeline: Pipeline) -> None:
    """Both models are asked the real holdout; a gate without the key has the conditions that it had."""
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

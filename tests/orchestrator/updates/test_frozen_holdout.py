"""The frozen holdout: what it holds, that nothing in it is trained on, and that models are compared on it.

Covers: `pipelines/data/named_columns.py`
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.lineage.decisions import newest_first
from orchestrator.maintenance.check_store import fsck
from orchestrator.maintenance.collect_garbage import collect
from orchestrator.maintenance.forget_samples import forget
from orchestrator.updates.admission_log import AdmissionLog
from orchestrator.updates.admitted_stream import stream_of
from orchestrator.updates.frozen_holdout import smallest
from orchestrator.updates.gate import find, judge, why
from orchestrator.updates.gate_evidence import Evidence
from orchestrator.updates.lasting_change import KEPT
from orchestrator.updates.promotion import promote
from pipelines.config.schema import Pipeline
from pipelines.config.sections.gate_section import GateSpec
from pipelines.data.named_columns import named_columns
from pipelines.gating.gate_conditions import overall
from pipelines.gating.paired_tests import PairedCounts
from strategies.memory import sample_keys
from tests.orchestrator.maintenance.lineages import age
from tests.orchestrator.updates.arrivals import lineage_of, pipeline_of, step
from tests.orchestrator.updates.held_out_stream import FILE, grow, held


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("held")
    grow(folder)
    return folder


@pytest.fixture
def pipeline(grown: Path, tmp_path: Path) -> Pipeline:
    shutil.copytree(grown, tmp_path, dirs_exist_ok=True)
    return pipeline_of(tmp_path, text=FILE)


@given(
    st.lists(st.lists(st.integers(0, 60), unique=True, max_size=30), min_size=1, max_size=5),
    st.integers(1, 40),
    st.data(),
)
def test_steps_of_any_size_give_the_same_samples(chunks: list[list[int]], samples: int, data: Any) -> None:
    parts = [
        {"ids": torch.tensor(ids, dtype=torch.int64), "serials": torch.full((len(ids),), n)}
        for n, ids in enumerate(chunks)
    ]
    whole = smallest(parts, samples)
    cut = data.draw(st.integers(0, len(parts)))
    begun = smallest(parts[:cut], samples)
    stepwise = smallest([*([begun] if begun else []), *parts[cut:]], samples)
    assert {name: tensor.tolist() for name, tensor in stepwise.items()} == {
        name: tensor.tolist() for name, tensor in whole.items()
    }
    newest = {id_: n for n, ids in enumerate(chunks) for id_ in ids}
    ids = torch.tensor(sorted(newest), dtype=torch.int64)
    order = np.argsort(sample_keys(ids, 0))[:samples]
    wanted = [(int(ids[place]), newest[int(ids[place])]) for place in order]
    assert list(zip(whole["ids"].tolist(), whole["serials"].tolist(), strict=True)) == wanted


def test_it_is_bounded_and_nothing_in_it_is_trained_on(pipeline: Pipeline) -> None:
    stream, found = stream_of(pipeline), held(pipeline)
    tests = torch.cat([one.test.ids for one in stream]).unique()
    wanted = tests[torch.from_numpy(np.argsort(sample_keys(tests, 0))[:50])]
    assert found["ids"].tolist() == wanted.tolist()
    trained = {id_ for one in stream for id_ in one.train.ids.tolist()}
    assert trained.isdisjoint(found["ids"].tolist()) and set(found["serials"].tolist()) == {0, 1, 2}
    assert step(pipeline).outcome == "nothing-new"


def test_every_condition_is_judged_on_it_on_the_newest_data_and_on_parts(pipeline: Pipeline) -> None:
    lineage = lineage_of(pipeline)
    verdict = next(one for one in newest_first(lineage) if one.kind == "verdict")
    findings: Any = verdict.evidence["findings"]
    judged = {f"{f['condition']} {f['subject']}".strip(): f["samples"] for f in findings}
    assert [name for name in judged if name.startswith("slices")] == [
        "slices class 0", "slices class 1", "slices region 0", "slices region 1", "slices region 2",
        "slices amount, quarter 1 of 4", "slices amount, quarter 2 of 4", "slices amount, quarter 3 of 4",
        "slices amount, quarter 4 of 4",
    ]  # fmt: skip
    assert {"score", "forgetting experience 0", "negative_flips", "calibration", "latency", "size"} <= judged.keys()
    stream = stream_of(pipeline)
    assert (judged["holdout"], judged["recent"]) == (50, len(stream[2].test))
    assert verdict.evidence["gaps"] == ["slices: the inputs have no column 'nothing'"]
    assert [column.name for column in named_columns(stream)] == ["region", "amount"]


def test_what_waits_is_the_newest_data(pipeline: Pipeline) -> None:
    """Judged before it is trained on, by models that have not seen it."""
    lineage = lineage_of(pipeline)
    champion, candidate = (lineage.chain(lineage.ref("latest").commit)[place].id for place in (0, 1))  # type: ignore[union-attr]
    stream = stream_of(pipeline)
    gate = GateSpec.model_validate({"recent": {}, "forgetting": None, "holdout": {"samples": 50}})
    promote(lineage, champion, force=True, reason="the first one")
    verdict = judge(lineage, candidate, gate, pipeline=pipeline, stream=stream)
    found: Any = verdict.evidence["findings"]
    samples = {(f["condition"], f["subject"]): f["samples"] for f in found}
    serials = held(pipeline)["serials"]
    assert samples["recent", ""] == len(stream[2].test)
    assert samples["holdout", ""] == int((serials < 2).sum())
    assert samples["holdout", KEPT] == int((serials < 1).sum())


def test_the_score_may_be_on_it_alone(pipeline: Pipeline) -> None:
    """What else is judged is judged on the test sets of the candidate's record."""
    lineage, stream = lineage_of(pipeline), stream_of(pipeline)
    champion, candidate = (commit.id for commit in lineage.chain(lineage.ref("latest").commit)[::2])  # type: ignore[union-attr]
    promote(lineage, champion, force=True, reason="the first one")
    score: dict[str, Any] = {"score": {"on": "holdout"}, "holdout": {"samples": 50, "margin": 0.5}, "recent": {}}
    newest, whole = len(stream[2].test), len(torch.cat([one.test.ids for one in stream]))
    for more, judged in (
        ({"forgetting": None, "negative_flips": 0.9}, {"negative_flips": 50}),
        ({"calibration": 0.9}, {"calibration": whole, "forgetting experience 0": len(stream[0].test)}),
    ):
        gate = GateSpec.model_validate(score | more)
        verdict = judge(lineage, candidate, gate, pipeline=pipeline, stream=stream)
        found: Any = verdict.evidence["findings"]
        samples = {f"{f['condition']} {f['subject']}".strip(): f["samples"] for f in found}
        kept = int((held(pipeline)["serials"] == 0).sum())
        assert samples == {"score": 50, "holdout": 50, f"holdout {KEPT}": kept, "recent": newest} | judged
        assert verdict.evidence["gaps"] == []


@given(st.integers(0, 200), st.integers(1, 3000))
def test_a_gain_on_newer_samples_does_not_pay_for_what_the_champion_has_learned(lost: int, newer: int) -> None:
    gate = GateSpec.model_validate(
        {"score": {"on": "holdout", "margin": 0.05}, "holdout": {"samples": 4000, "margin": 0.05}, "forgetting": None}
    )
    kept, whole = PairedCounts(lost, 0, 1000), PairedCounts(lost, newer, 1000 + newer)
    findings = find(Evidence(holdout=whole, kept=kept, on_holdout=True), gate, 0.025)
    if lost <= 30:
        assert overall(findings) == "passed"
    if lost > 50:
        assert overall(findings) != "passed"
        # Where the whole of the holdout keeps the margin, this part of it is the reason.
        assert newer < 2 * lost or f"holdout of {KEPT} -" in why(findings)


def test_forget_reaches_it_and_gc_keeps_it(pipeline: Pipeline, tmp_path: Path) -> None:
    lineage, before = lineage_of(pipeline), held(pipeline)
    forget(lineage, before["ids"][:5].tolist())
    after = held(pipeline)
    assert after["ids"].tolist() == before["ids"][5:].tolist()
    gone = [row.numpy().tobytes() for row in before["inputs"][:5]]
    everything = [path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert not any(row in data for row in gone for data in everything)
    assert fsck(lineage).damage == [] and step(pipeline).outcome == "nothing-new"
    age(lineage)
    collect(lineage, keep=1, minimum_age=0)
    assert held(pipeline)["ids"].tolist() == after["ids"].tolist()
    assert fsck(lineage).unreferenced == []


def test_another_size_draws_it_anew(pipeline: Pipeline, tmp_path: Path) -> None:
    """A larger one holds the smaller one; without the section nothing is drawn."""
    few = held(pipeline)["ids"].tolist()
    larger = pipeline_of(tmp_path, text=FILE.replace("samples: 50", "samples: 80"))
    assert step(larger).outcome == "nothing-new"
    assert held(pipeline)["ids"].tolist()[:50] == few and len(held(pipeline)["ids"]) == 80
    log = AdmissionLog(lineage_of(pipeline))
    records = log.read().records
    step(larger)
    assert log.read().records == records

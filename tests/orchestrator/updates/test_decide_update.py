"""The section `update` on real files: what waits, what starts a training or a search, and what the records say of it.

Covers: `orchestrator/updates/observe_pending.py`, `orchestrator/updates/retune.py`
Covers: `orchestrator/updates/update_log.py`
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.lineage.bad_commits import plan_without_bad
from orchestrator.lineage.commit import Commit
from orchestrator.lineage.decisions import newest_first
from orchestrator.lineage.plan import make_plan
from orchestrator.maintenance.check_decisions import decision_problems
from orchestrator.maintenance.check_store import fsck
from orchestrator.updates.admission_log import read_admissions, whole_log
from orchestrator.updates.admitted_stream import stream_of
from orchestrator.updates.promotion import promote, rollback
from orchestrator.updates.run_step import StepResult, run_step
from orchestrator.updates.update_log import spent
from pipelines.config.schema import Pipeline
from tests.orchestrator.updates import arrivals
from tests.orchestrator.updates.arrivals import contents, deliver, lineage_of, pipeline_of, train_here

DOMAIN = arrivals.FILE.replace("class-incremental", "domain-incremental").replace("[4]", "[32]")
SLOW = "batch_size: 20, optimizer: {{lr: 0.00001}}, per_experience: {{0: {{optimizer: {{lr: 0.05}}}}}}"
SEARCHED = DOMAIN.replace("batch_size: 20", SLOW) + (
    'tune: {{space: {{"train.optimizer.lr": {{grid: [0.000001, 0.04]}}}}, search: grid, validation: 0.25}}\n'
)


def step(pipeline: Pipeline, later: float = 0.0) -> StepResult:
    return run_step(pipeline, train=train_here, now=time.time() + later)


def moved_inputs(folder: Path, name: str, seed: int, rows: int) -> None:
    """The classes of always, elsewhere: what was learned does not help there, and learning it harms little."""
    path = deliver(folder, name, [0, 1, 2, 3], seed=seed, rows=rows)
    with np.load(path) as file:
        x, y = file["x"], file["y"]
    np.savez(path, x=x + 6, y=y)
    arrivals.aged(path, 1000 - seed)


def chain_of(pipeline: Pipeline) -> list[Commit]:
    latest = lineage_of(pipeline).ref("latest")
    assert latest is not None
    return lineage_of(pipeline).chain(latest.commit)


def rate(spec: Any) -> Any:
    return spec["train"]["optimizer"]["lr"]


def told(pipeline: Pipeline) -> Sequence[tuple[str, str | None]]:
    return [(one.kind, one.outcome) for one in newest_first(lineage_of(pipeline))][::-1]


def test_what_is_like_the_past_waits_and_what_differs_is_trained(tmp_path: Path) -> None:
    pipeline = pipeline_of(tmp_path, text=DOMAIN + "update: {{when: drift}}\n")
    deliver(tmp_path, "a", [0, 1, 2, 3], rows=400)
    first = step(pipeline)
    assert first.trained == 1 and first.update is None and told(pipeline) == [("training", None)]
    deliver(tmp_path, "b", [0, 1, 2, 3], rows=400, seed=1)
    waits = step(pipeline)
    assert (waits.outcome, waits.experiences, waits.commit) == ("waits", 2, first.commit)
    assert waits.update == {"train": False, "rule": "drift", "reason": "1 experience waits: like what was learned"}
    before = contents(pipeline)
    assert step(pipeline).outcome == "waits" and contents(pipeline) == before  # said once
    deliver(tmp_path, "c", [2, 3], rows=400, seed=2)
    drifted = step(pipeline)
    assert (drifted.outcome, drifted.trained) == ("trained", 2) and drifted.update is not None
    assert "labels differ by 0.500" in drifted.update["reason"]
    assert told(pipeline)[1:] == [("update", "wait"), ("update", "train"), ("training", None)]
    assert step(pipeline).outcome == "nothing-new"
    lineage = lineage_of(pipeline)
    assert decision_problems(lineage) == [] and fsck(lineage).damage == []


def test_a_budget_is_what_the_records_say(tmp_path: Path) -> None:
    pipeline = pipeline_of(tmp_path, text=DOMAIN + "update: {{budget: {{worker_hours: 0.000000001, per: 1h}}}}\n")
    deliver(tmp_path, "a", [0, 1, 2, 3])
    step(pipeline)
    lineage = lineage_of(pipeline)
    (commit,) = chain_of(pipeline)
    ((_, seconds),) = spent(lineage, 0.0)
    assert seconds == pytest.approx(sum(commit.timings.values()), abs=0.001)
    deliver(tmp_path, "b", [0, 1, 2, 3], seed=1)
    for _ in range(2):
        waits = step(pipeline)
        assert waits.outcome == "waits" and waits.update is not None and waits.update["rule"] == "budget"
    assert told(pipeline) == [("training", None), ("update", "wait")]
    assert step(pipeline, later=3600).trained == 1
    # A step that was killed after it trained: the next one records what it took.
    deliver(tmp_path, "c", [0, 1, 2, 3], seed=2)
    bare = pipeline.model_copy(update={"update": None})
    assert step(bare).trained == 1
    deliver(tmp_path, "d", [0, 1, 2, 3], seed=3)
    step(pipeline)
    recorded = [one.evidence["commits"] for one in newest_first(lineage) if one.kind == "training"][::-1]
    assert [commit.id for commit in chain_of(pipeline)] == [id_ for ids in recorded for id_ in ids]  # type: ignore[union-attr]


def test_errors_that_grow_start_a_search_and_the_settings_of_now_stay_where_they_are_the_best(tmp_path: Path) -> None:
    pipeline = _searched(tmp_path, SEARCHED.replace("0.00001}}", "0.04}}").replace("0.04]", "0.00001]"))
    state = read_admissions(lineage_of(pipeline))
    record = next(one for one in newest_first(lineage_of(pipeline)) if one.kind == "retune")
    assert (
        state is not None and state.settings == () and "other settings has a better average_accuracy" in record.reason
    )
    trials: Any = record.evidence["trials"]
    assert [trial["settings"] for trial in trials] == [None, *({"train.optimizer.lr": lr} for lr in (1e-6, 1e-5))]
    assert trials[0]["average_accuracy"] >= trials[1]["average_accuracy"]
    assert told(pipeline)[-3:] == [("update", "train"), ("retune", None), ("training", None)]


def test_settings_that_were_found_hold_from_their_experience_on_for_every_reader(tmp_path: Path) -> None:
    pipeline = _searched(tmp_path)
    lineage = lineage_of(pipeline)
    state = read_admissions(lineage)
    assert state is not None and [dict(one.values) for one in state.settings] == [{"train.optimizer.lr": 0.04}]
    assert state.settings[0].since == 2
    chain = chain_of(pipeline)
    rates = [rate(commit.spec) for commit in chain]
    assert rates == [0.05, 0.00001, 0.04]
    # Whoever reads the file and the log has the same plan; the log alone says what was found.
    assert [one.id for one in make_plan(pipeline, stream_of(pipeline))] == [commit.id for commit in chain]
    assert whole_log(lineage) == (state, [])
    deliver(tmp_path, "d", [0, 1, 2, 3], seed=9)
    assert step(pipeline).trained == 1
    deeper = chain_of(pipeline)
    assert deeper[:3] == chain and rate(deeper[3].spec) == 0.04
    assert fsck(lineage).damage == []
    # Without the experience before it, the one that was retuned is still the first with these settings.
    promote(lineage, chain[0].id, force=True, reason="the first")
    promote(lineage, chain[1].id, force=True, reason="the second")
    rollback(lineage, reason="bad")
    plan = plan_without_bad(pipeline, stream_of(pipeline), lineage)[1]
    assert [rate(one.spec) for one in plan] == [0.05, 0.04, 0.04]


def test_a_search_stops_at_the_budget(tmp_path: Path) -> None:
    pipeline = _searched(tmp_path, more=", budget: {{worker_hours: 0.00000001, per: 1h}}", wait=7200)
    record = next(one for one in newest_first(lineage_of(pipeline)) if one.kind == "retune")
    assert len(record.evidence["trials"]) == 1 and record.evidence["settings"] is None  # type: ignore[arg-type]
    assert record.evidence["worker_seconds"] > 0  # type: ignore[operator]


def _searched(folder: Path, text: str = SEARCHED, more: str = "", wait: float = 0.0) -> Pipeline:
    """A model that answers well, an experience that it hardly learns, and one on which it is at a loss."""
    pipeline = pipeline_of(folder, text=f"{text}update: {{{{retune: {{{{trials: 2}}}}{more}}}}}\n")
    for seed, name in enumerate("ab"):
        deliver(folder, name, [0, 1, 2, 3], rows=600, seed=seed)
    step(pipeline)
    moved_inputs(folder, "c", seed=2, rows=600)
    assert step(pipeline, wait).trained == 1
    return pipeline

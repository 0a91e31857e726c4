"""After a rollback the experience of the bad commit is left out, and the next one starts from the champion."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import RunFailed
from orchestrator.lineage.bad_commits import plan_without_bad
from orchestrator.lineage.decisions import DecisionState, append_decision, decision_state
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import make_plan
from orchestrator.storage.folder_store import FolderStore
from orchestrator.training.driver import run
from orchestrator.updates.promotion import promote, rollback
from pipelines.config.load import load_text, with_settings
from pipelines.data.streams import build_stream
from tests.orchestrator.lineage.chains import write_chain
from tests.orchestrator.train_stream import train

NOWHERE = "http://127.0.0.1:9"
TEXT = """\
name: small
stream: {dataset: digits, setting: domain-incremental, experiences: 4}
model: {name: mlp, hidden: [8]}
strategy: {name: replay, capacity: 20}
train: {epochs: 1, batch_size: 64}
"""


def test_a_stream_without_an_experience_is_one_in_which_it_never_came() -> None:
    pipeline = load_text(TEXT)
    stream = build_stream(pipeline.stream, pipeline.seed)
    fingerprints = [stream.fingerprint(i) for i in range(4)]
    left = stream.without(1)
    assert [left.fingerprint(i) for i in range(3)] == [fingerprints[i] for i in (0, 2, 3)]
    assert [left.test_fingerprint(i) for i in range(3)] == [stream.test_fingerprint(i) for i in (0, 2, 3)]
    assert [(e.index, e.task) for e in left] == [(0, 0), (1, 1), (2, 2)]
    assert left[1].classes == stream[2].classes and left.outputs == stream.outputs
    assert [left.without(2).fingerprint(i) for i in range(2)] == [fingerprints[i] for i in (0, 2)]


def test_the_next_experience_starts_from_the_champion(tmp_path: Path) -> None:
    pipeline = with_settings(load_text(TEXT), {"storage": str(tmp_path / "store"), "tracking.uri": NOWHERE})
    lineage = Lineage(FolderStore(tmp_path / "store"), "small")
    chain = train(pipeline)
    promote(lineage, chain[1], force=True, reason="in use")
    promote(lineage, chain[2], force=True, reason="in use")
    rollback(lineage, reason="labels of experience 2 were wrong")
    stream, plan, said = plan_without_bad(pipeline, build_stream(pipeline.stream, 0), lineage)
    assert len(stream) == len(plan) == 3 and plan[2].parent == chain[1] and plan[2].id not in chain
    assert len(said) == 1 and said[0].startswith(f"experience 2 is left out: its commit {chain[2][:12]}")
    result = run(pipeline)
    assert result.lineage == [*chain[:2], plan[2].id] and (result.trained, result.reused) == (1, 2)
    assert lineage.stands("latest", plan[2].id) and lineage.stands("champion", chain[1])
    # With other settings it is another commit, and is trained.
    other = with_settings(pipeline, {"train.per_experience": {"2": {"epochs": 2}}})
    assert len(plan_without_bad(other, build_stream(other.stream, 0), lineage)[1]) == 4


def test_nothing_is_left_out_without_decisions_and_something_must_be_left(tmp_path: Path) -> None:
    pipeline = with_settings(load_text(TEXT), {"stream.experiences": 2})
    stream = build_stream(pipeline.stream, 0)
    lineage = Lineage(FolderStore(tmp_path), "small")
    plan = make_plan(pipeline, stream)
    assert plan_without_bad(pipeline, stream, lineage) == (stream, plan, [])
    alone = make_plan(pipeline, stream.without(0))
    commit = write_chain(lineage, 1)[0].id
    bad = tuple(sorted([plan[0].id, alone[0].id]))
    append_decision(lineage, kind="rollback", commit=commit, state=DecisionState(champion=commit, bad=bad))
    assert decision_state(lineage).bad == bad
    with pytest.raises(RunFailed, match="nothing is left to train"):
        plan_without_bad(pipeline, stream, lineage)

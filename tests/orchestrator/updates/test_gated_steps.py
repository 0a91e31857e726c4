"""A step with a gate: what was trained is judged once, and a rollback sends the next experience to the champion."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.lineage.claim import claimed
from orchestrator.lineage.decisions import newest_first
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.folder_store import FolderStore
from orchestrator.updates.judge_latest import judge_latest
from orchestrator.updates.promotion import promote, rollback
from pipelines.config.schema import Pipeline
from tests.orchestrator.updates.arrivals import FILE, contents, deliver, lineage_of, pipeline_of, step

GATED = FILE + "gate: {{promote: automatic, undecided: promote, forgetting: null}}\n"


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return pipeline_of(tmp_path, text=GATED)


def test_the_newest_commit_is_judged_and_promoted_once(tmp_path: Path, pipeline: Pipeline) -> None:
    deliver(tmp_path, "a", [0, 1])
    first = str(step(pipeline).commit)
    lineage = lineage_of(pipeline)
    done = judge_latest(pipeline, lineage, first)
    assert done is not None and (done["outcome"], done["done"], done["champion_before"]) == (
        "passed",
        "promotion",
        None,
    )
    before = contents(pipeline)
    for _ in range(3):
        assert step(pipeline).outcome == "nothing-new" and judge_latest(pipeline, lineage, first) is None
    assert contents(pipeline) == before
    deliver(tmp_path, "b", [2, 3], seed=1)
    second = str(step(pipeline).commit)
    assert judge_latest(pipeline, lineage, second) is not None
    # The champion was asked the newest test set, too.
    verdict = next(d for d in newest_first(lineage) if d.kind == "verdict")
    assert (verdict.commit, verdict.champion) == (second, first) and verdict.evidence["gaps"] == []


def test_what_was_judged_and_not_followed_is_followed_by_the_next_step(tmp_path: Path, pipeline: Pipeline) -> None:
    from orchestrator.updates.gate import judge

    deliver(tmp_path, "a", [0, 1])
    commit, lineage = str(step(pipeline).commit), lineage_of(pipeline)
    judge(lineage, commit, pipeline.gate)
    with claimed(lineage, "promotion"):
        assert judge_latest(pipeline, lineage, commit) is None
    done = judge_latest(pipeline, lineage, commit)
    assert done is not None and done["followed"] == "promotion" and lineage.stands("champion", commit)
    assert [d.kind for d in newest_first(lineage)] == ["promotion", "verdict"]


def test_after_a_rollback_the_next_file_is_trained_from_the_champion(tmp_path: Path, pipeline: Pipeline) -> None:
    lineage = lineage_of(pipeline)
    commits = []
    for seed, name in enumerate("abc"):
        deliver(tmp_path, name, [0, 1, 2, 3], seed=seed)
        commits.append(str(step(pipeline).commit))
    for commit in commits[1:]:
        promote(lineage, commit, force=True, reason="in use")
    rollback(lineage, reason="labels of c were wrong")
    assert step(pipeline).outcome == "nothing-new"
    deliver(tmp_path, "d", [0, 1, 2, 3], seed=3)
    made = step(pipeline)
    assert made.trained == 1 and lineage.read(str(made.commit)).parent == commits[1]
    before = contents(pipeline)
    # The files of the past may go, that of the bad commit too.
    for name in "abc":
        (tmp_path / "in" / f"{name}.npz").unlink()
    assert step(pipeline).outcome == "nothing-new" and contents(pipeline) == before

"""Scores that a file names later are those that a run with them from the start records, and nothing is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.checkpointing.score_commits import score_commits, unscored
from orchestrator.lineage.accuracy_matrix import accuracy_matrix
from orchestrator.lineage.chain_metrics import chain_metrics
from orchestrator.lineage.commit import Commit
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.open_by_uri import open_store
from pipelines.config.load import load_text, with_settings
from pipelines.config.schema import Pipeline
from pipelines.data.streams import build_stream
from tests.orchestrator.train_stream import train

TEXT = """
name: digits
stream: {dataset: digits, setting: task-incremental, order: [[0, 1], [2, 3], [4, 5]]}
model: {name: mlp, hidden: [8]}
strategy: [{name: replay, capacity: 30}]
train: {epochs: 1, batch_size: 32}
"""
SCORES: dict[str, Any] = {"score": "auroc", "metrics": ["log_loss", "recall@class=3"]}


def chain_of(pipeline: Pipeline, ids: list[str]) -> list[Commit]:
    return Lineage(open_store(pipeline.storage), pipeline.name).chain(ids[-1])


def measured(chain: list[Commit]) -> Any:
    rows = [[(c.experience, c.test, c.correct, c.total, c.scores) for c in commit.row] for commit in chain]
    baseline = [(c.test, c.correct, c.scores) for c in chain[0].baseline]
    return rows, baseline, [commit.quality for commit in chain], [commit.scores for commit in chain]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pipeline, list[str]]:
    """A pipeline that records the accuracy, and the ids of its commits."""
    pipeline = load_text(f"{TEXT}storage: {tmp_path_factory.mktemp('store')}\n")
    return pipeline, train(pipeline)


def test_they_are_those_of_a_run_that_had_them_from_the_start(
    trained: tuple[Pipeline, list[str]], tmp_path: Path
) -> None:
    before, ids = trained
    fresh = with_settings(before, {**SCORES, "storage": str(tmp_path)})
    assert train(fresh) == ids  # a score is no part of an id
    later = with_settings(before, SCORES)
    chain = chain_of(before, ids)
    assert unscored(before, chain) == [] and unscored(later, chain) == [0, 1, 2]
    lineage = Lineage(open_store(later.storage), later.name)
    scored = score_commits(later, build_stream(later.stream, later.seed), lineage, chain)
    assert measured(scored) == measured(chain_of(fresh, ids)) and scored == chain_of(before, ids)
    assert unscored(later, scored) == []
    names = [metric for metric, value in chain_metrics(scored)[-1].items() if value is not None]
    assert {"average_auroc", "forgetting", "auroc", "log_loss", "average_log_loss", "recall@class=3"} <= {*names}
    # Going back costs no evaluation: the accuracy is there.
    again = score_commits(before, build_stream(later.stream, later.seed), lineage, scored)
    assert [record.name for record in again[-1].scores or ()] == ["accuracy", "auroc", "log_loss", "recall@class=3"]
    assert accuracy_matrix(again) == accuracy_matrix(chain)


def test_a_commit_without_its_model_keeps_what_it_has(trained: tuple[Pipeline, list[str]]) -> None:
    before, ids = trained
    thinned = [commit.revised(thinned="2026-01-01T00:00:00Z") for commit in chain_of(before, ids)]
    assert unscored(with_settings(before, {"score": "macro_f1"}), thinned) == []

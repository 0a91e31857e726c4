"""Counts and scores in a commit: those of older commits keep their bytes, further scores make format 2."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.lineage.commit import Commit
from orchestrator.lineage.measurements import QualityRecord, ScoreRecord, TestCount

FIELDS: dict[str, Any] = {
    "parent": None,
    "pipeline": "p",
    "experience": {"index": 0, "task": 0, "classes": [0, 1], "fingerprint": "data", "samples": 4},
    "spec": {"seed": 0},
    "created": "2026-01-01T00:00:00Z",
}
AUROC = ScoreRecord(name="auroc", unit="fraction", better="higher")
COUNT = {"experience": 0, "test": "t", "correct": 3, "total": 4}


def test_accuracy_alone_is_written_as_ever() -> None:
    commit = Commit.create(**FIELDS, row=(TestCount(**COUNT),), quality=QualityRecord(classes=((0, 3, 4),)))
    document = json.loads(commit.to_json())
    assert document["format"] == 1 and "scores" not in document
    assert document["row"] == [COUNT] and [*document["quality"]] == ["calibration", "classes", "confusion", "flips"]
    assert Commit.parse(commit.to_json()) == commit


def test_further_scores_change_the_format_and_not_the_id() -> None:
    before = Commit.create(**FIELDS, row=(TestCount(**COUNT),))
    row = (TestCount(**COUNT, scores={"auroc": 0.75}),)
    commit = Commit.create(**FIELDS, row=row, scores=(AUROC,), quality=QualityRecord(scores={"auroc": 0.5}))
    document = json.loads(commit.to_json())
    assert (document["format"], commit.id) == (2, before.id)
    assert Commit.parse(commit.to_json()) == commit
    assert before.revised(row=row, scores=(AUROC,), quality=commit.quality) == commit
    assert commit.revised(scores=None, row=before.row, quality=None) == before


def test_a_score_by_its_name() -> None:
    count = TestCount(**COUNT, scores={"auroc": 0.5})
    assert [count.value(name) for name in ("accuracy", "auroc", "mae")] == [0.75, 0.5, None]
    without = TestCount(experience=0, test="t", correct=None, total=4, scores={"mae": 2.5})
    assert [without.value(name) for name in ("accuracy", "mae")] == [None, 2.5]
    with pytest.raises(ValueError, match="more correct answers"):
        TestCount(experience=0, test="t", correct=5, total=4)

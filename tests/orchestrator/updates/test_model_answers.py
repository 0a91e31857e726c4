"""Models of commits that are evaluated again: the answers are those that the commit records.

Covers: `orchestrator/updates/gate_evidence.py`
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from orchestrator.checkpointing.snapshot import load_answers
from orchestrator.errors import CorruptBlob
from orchestrator.lineage.commit import Commit
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.folder_store import FolderStore
from orchestrator.updates.gate import judge
from orchestrator.updates.gate_evidence import gather
from orchestrator.updates.model_answers import ModelAnswers
from orchestrator.updates.promotion import promote
from pipelines.config.load import load_text, with_settings
from pipelines.config.schema import Pipeline
from pipelines.config.sections.gate_section import GateSpec
from pipelines.data.streams import Stream, build_stream
from tests.orchestrator.train_stream import train

TEXT = """\
name: small
stream: {dataset: digits, setting: class-incremental, experiences: 5}
model: {name: mlp, hidden: [32]}
strategy: {name: icarl, capacity: 60}
train: {epochs: 2, batch_size: 32, optimizer: {name: adam, lr: 0.01}}
"""
FULL = GateSpec.model_validate(
    {"slices": {"minimum": 5, "margin": 0.9}, "latency": 100, "size": 2, "negative_flips": 0.9}
)


class Trained(NamedTuple):
    lineage: Lineage
    pipeline: Pipeline
    stream: Stream
    chain: list[Commit]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Three experiences, of a strategy whose answers come from its memory."""
    folder: Path = tmp_path_factory.mktemp("trained")
    pipeline = with_settings(load_text(TEXT), {"storage": str(folder)})
    stream = build_stream(pipeline.stream, 0)
    ids = train(pipeline, stream[:3])
    lineage = Lineage(FolderStore(folder), "small")
    return Trained(lineage, pipeline, stream[:3], lineage.chain(ids[-1]))


def test_answers_are_those_that_the_commits_record(trained: Trained) -> None:
    models = ModelAnswers(trained.lineage, trained.pipeline, trained.stream)
    for commit in trained.chain:
        recorded = load_answers(trained.lineage, commit)
        right = models.assess(commit, sorted(recorded)).right
        assert right.keys() == recorded.keys()
        assert all(right[i].equal(bits) for i, bits in recorded.items())
    assert models.knows(0, trained.chain[0].row[0].test)
    assert not models.knows(0, "another") and not models.knows(9, trained.chain[0].row[0].test)
    ratios = models.time_ratios(trained.chain[0], trained.chain[2], 2)
    assert len(ratios) == 40 and min(ratios) > 0


def test_the_champion_is_asked_the_newest_test_set_where_its_data_is_at_hand(trained: Trained) -> None:
    _, champion, candidate = trained.chain
    models = ModelAnswers(trained.lineage, trained.pipeline, trained.stream)
    recorded = gather(trained.lineage, champion, candidate, FULL, None)
    assert set(recorded.experiences) == recorded.old == {0, 1}
    assert [gap.partition(":")[0] for gap in recorded.gaps] == ["score", "slices", "calibration and latency"]
    evaluated = gather(trained.lineage, champion, candidate, FULL, models)
    assert set(evaluated.experiences) == {0, 1, 2} and evaluated.old == {0, 1} and evaluated.gaps == []
    assert {i: evaluated.experiences[i] for i in (0, 1)} == recorded.experiences
    # It has not learned the newest classes.
    newest = evaluated.experiences[2]
    assert newest.lost == 0 and newest.won > 0.5 * newest.samples
    assert sum(pairs.samples for pairs in evaluated.classes.values()) == evaluated.together.samples
    assert sum(pairs.won for pairs in evaluated.classes.values()) == evaluated.together.won
    assert len(evaluated.ratios) == 40 and evaluated.size == 1


def test_a_gate_uses_all_that_is_at_hand(trained: Trained) -> None:
    promote(trained.lineage, trained.chain[0].id)
    verdict = judge(trained.lineage, trained.chain[1].id, FULL, pipeline=trained.pipeline, stream=trained.stream)
    findings: Any = verdict.evidence["findings"]
    named = {finding["condition"] for finding in findings}
    assert named == {"score", "forgetting", "negative_flips", "slices", "latency", "size"}
    assert verdict.evidence["gaps"] == []


def test_the_calibration_is_compared_on_the_same_test_sets(tmp_path: Path) -> None:
    text = TEXT.replace("icarl", "replay")
    pipeline = with_settings(load_text(text), {"storage": str(tmp_path)})
    stream = build_stream(pipeline.stream, 0)[:2]
    ids = train(pipeline, stream)
    lineage = Lineage(FolderStore(tmp_path), "small")
    champion, candidate = lineage.chain(ids[-1])
    models = ModelAnswers(lineage, pipeline, stream)
    found = gather(lineage, champion, candidate, GateSpec(calibration=0.1), models)
    assert found.calibration is not None and found.gaps == []
    quality = candidate.quality
    assert quality is not None and quality.calibration is not None
    from strategies.metrics import expected_calibration_error

    assert found.calibration.candidate == pytest.approx(expected_calibration_error(quality.calibration))


def test_a_commit_of_another_model_or_other_strategies_is_not_evaluated(trained: Trained) -> None:
    champion, candidate = trained.chain[1:]
    for changed in ({"model.hidden": [16]}, {"strategy": [{"name": "naive"}]}):
        other = with_settings(trained.pipeline, changed)
        models = ModelAnswers(trained.lineage, other, trained.stream)
        assert not models.fits(champion)
        with pytest.raises(CorruptBlob, match="another model or other strategies"):
            models.assess(champion, [2])
        found = gather(trained.lineage, champion, candidate, GateSpec(), models)
        assert set(found.experiences) == {0, 1} and "another model" in found.gaps[0]

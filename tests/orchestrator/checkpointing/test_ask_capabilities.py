"""Capabilities that a file names later are what a run with them from the start records, and nothing is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from orchestrator.checkpointing.ask_capabilities import ask_commits, unasked
from orchestrator.lineage.commit import Commit
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.open_by_uri import open_store
from pipelines.build import make_stream
from pipelines.config.load import load_text, with_settings
from pipelines.config.schema import Pipeline
from tests.orchestrator.train_stream import train

TEXT = """
name: digits
stream: {dataset: digits, setting: task-incremental, order: [[0, 1], [2, 3], [4, 5]]}
model: {name: mlp, hidden: [8]}
strategy: [{name: replay, capacity: 30}]
train: {epochs: 1, batch_size: 32}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Pipeline, list[str]]:
    """A folder, a pipeline without capabilities in it, and the ids of its commits."""
    root = tmp_path_factory.mktemp("asked")
    pipeline = load_text(f"{TEXT}storage: {root}/store\n")
    return root, pipeline, train(pipeline)


def capability(root: Path, name: str, labels: list[int], **more: Any) -> dict[str, Any]:
    test = make_stream(load_text(TEXT))[0].test
    inputs, _ = test.take(torch.arange(len(labels)))
    rows = [{"inputs": one.tolist(), "label": label} for one, label in zip(inputs, labels, strict=True)]
    (root / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return {"name": name, "kind": "classification", "data": f"{root}/{name}.jsonl", **more}


def chain_of(pipeline: Pipeline, ids: list[str]) -> tuple[Lineage, list[Commit]]:
    lineage = Lineage(open_store(pipeline.storage), pipeline.name)
    return lineage, lineage.chain(ids[-1])


def test_they_are_those_of_a_run_that_had_them_from_the_start(trained: tuple[Path, Pipeline, list[str]]) -> None:
    root, before, ids = trained
    listed = [capability(root, "first", [0, 1] * 6), capability(root, "second", [3, 2, 1])]
    fresh = with_settings(before, {"capabilities": listed, "storage": f"{root}/fresh"})
    assert train(fresh) == ids  # a capability is no part of an id
    later = with_settings(before, {"capabilities": listed})
    stream, (lineage, chain) = make_stream(later), chain_of(later, ids)
    assert unasked(make_stream(before), chain) == [] and unasked(stream, chain) == [0, 1, 2]
    asked = ask_commits(later, stream, lineage, chain)
    wanted = chain_of(fresh, ids)[1]
    assert [c.capabilities for c in asked] == [c.capabilities for c in wanted]
    assert [c.capabilities_before for c in asked] == [c.capabilities_before for c in wanted]
    assert asked == chain_of(later, ids)[1] and unasked(stream, asked) == []
    # Another margin needs no model: the models of all commits but their records are gone.
    thinned = [commit.revised(thinned=None, blobs={}) for commit in asked]
    wide = with_settings(later, {"capabilities": [{**one, "margin": 0.9} for one in listed]})
    for commit in thinned:
        lineage.store.put(f"digits/commits/{commit.id}.json", commit.to_json())
    judged = ask_commits(wide, make_stream(wide), lineage, lineage.chain(ids[-1]))
    assert {one.margin for commit in judged for one in commit.capabilities or ()} == {0.9}
    assert [one.verdict for one in judged[2].capabilities or ()][:1] == ["kept"]


def test_other_items_are_asked_again_and_what_a_file_no_longer_names_stays(
    trained: tuple[Path, Pipeline, list[str]],
) -> None:
    root, before, ids = trained
    one, two = capability(root, "one", [0, 1]), capability(root, "two", [1, 0])
    for commit in chain_of(before, ids)[1]:
        assert commit.id in ids
    other = with_settings(before, {"capabilities": [one], "storage": f"{root}/other"})
    train(other)
    capability(root, "one", [1, 0, 1])
    changed = with_settings(other, {"capabilities": [one, two]})
    lineage, chain = chain_of(changed, ids)
    asked = ask_commits(changed, make_stream(changed), lineage, chain)
    for commit in asked:
        assert [(found.name, found.items) for found in commit.capabilities or ()] == [("one", 3), ("two", 2)]
    only = make_stream(with_settings(changed, {"capabilities": [two]}))
    assert unasked(only, asked) == []
    assert unasked(make_stream(changed), [commit.revised(thinned="2026-01-01T00:00:00Z") for commit in chain]) == []

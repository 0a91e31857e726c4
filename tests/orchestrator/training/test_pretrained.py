"""A stream of texts learned by a pretrained transformer with adapters: what is stored, and what identifies it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from orchestrator import load_model, run
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import make_plan
from orchestrator.storage.open_by_uri import open_store
from pipelines.config.load import load_text
from pipelines.config.schema import Pipeline
from pipelines.data.streams import build_stream
from tests.pipelines.models.pretrained import save_tiny_bert

FILE = """
name: texts
storage: {root}/store
tracking: {{uri: "sqlite:///{root}/mlflow.db"}}
stream:
  dataset: {{name: text, path: "{root}/stream", tokenizer: "{base}", max_length: 8}}
  setting: domain-incremental
model: {{name: transformers, pretrained: "{base}"}}
strategy: [{{name: lora, rank: 2, targets: [query, value]}}, {{name: replay, capacity: 10}}]
train: {{epochs: 2, batch_size: 8, optimizer: {{name: adamw, lr: 0.01}}}}
"""


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Pipeline, list[str]]:
    root = tmp_path_factory.mktemp("texts")
    save_tiny_bert(root / "base")
    (root / "stream").mkdir()
    for month, good in (("2026-01", "good"), ("2026-02", "very good")):
        rows = [{"text": f"the film was {good}", "label": "yes"}, {"text": "a dull day", "label": "no"}] * 10
        (root / "stream" / f"{month}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pipeline = load_text(FILE.format(root=root, base=root / "base"))
    run(pipeline)
    return root, pipeline, ids(pipeline)


def ids(pipeline: Pipeline) -> list[str]:
    """The commits that a run of the pipeline makes."""
    return [planned.id for planned in make_plan(pipeline, build_stream(pipeline.stream, pipeline.seed))]


def test_the_frozen_transformer_is_stored_once(learned: tuple[Path, Pipeline, list[str]]) -> None:
    root, _, commits = learned
    lineage = Lineage(open_store(str(root / "store")), "texts")
    first, second = (lineage.read(commit) for commit in commits)
    assert first.blobs["model.base"] == second.blobs["model.base"]
    assert first.blobs["model"] != second.blobs["model"]
    adapter = lineage.tensors(second.blobs["model"].sha256)
    assert {name.rpartition("self.")[2] for name in adapter if "lora" in name} == {
        f"{layer}.lora_{matrix}.stream.weight" for layer in ("query", "value") for matrix in "AB"
    }
    assert second.blobs["model"].bytes + second.blobs["optimizer"].bytes < 20_000


def test_other_weights_make_other_commits_and_another_place_does_not(learned: tuple[Path, Pipeline, list[str]]) -> None:
    root, _, commits = learned
    shutil.copytree(root / "base", root / "moved")
    moved = load_text(FILE.format(root=root, base=root / "moved"))
    assert ids(moved) == commits
    weights = root / "moved" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + bytes(4))
    assert not {*ids(moved)} & {*commits}


def test_a_commit_s_model_is_loaded_with_its_adapter(learned: tuple[Path, Pipeline, list[str]]) -> None:
    _, pipeline, _ = learned
    model = load_model(pipeline)
    tokens = torch.tensor([[7, 5, 8, 3, -1, -1, -1, -1], [2, 11, 6, -1, -1, -1, -1, -1]], dtype=torch.int32)
    with torch.no_grad():
        assert model(tokens).shape == (2, 2)
    assert any("lora_A" in name for name in model.state_dict())

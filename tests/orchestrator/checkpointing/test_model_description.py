"""What a commit says of its model: stored once, gone from nothing, and never in the way of a resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from orchestrator.checkpointing.load_model import load_model
from orchestrator.checkpointing.model_description import DESCRIPTION, ModelDescription, describing, read_description
from orchestrator.errors import CorruptBlob
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.open_by_uri import open_store
from orchestrator.storage.tensors import encode
from pipelines.config.load import load_text
from pipelines.data.streams import build_stream
from tests.orchestrator.train_stream import train


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Lineage, list[str]]:
    """A lineage of two months of a table."""
    folder = tmp_path_factory.mktemp("table")
    (folder / "months").mkdir()
    for month in range(2):
        rows = np.arange(40)
        frame = pd.DataFrame(
            {"x": rows % 7 + month, "c": np.where(rows % 3, "a", "b"), "y": np.where(rows % 2, "no", "yes")}
        )
        frame.to_csv(folder / "months" / f"{month}.csv", index=False)
    text = (
        f"name: t\nmodel: {{name: tabular-mlp, hidden: [6]}}\nstorage: {folder / 'store'}\n"
        "stream:\n  setting: domain-incremental\n"
        f"  dataset: {{name: csv, path: {folder / 'months'}, label: y, features: auto}}\n"
        "train: {epochs: 1, batch_size: 20}\nstrategy: {name: replay, capacity: 10}\n"
    )
    pipeline = load_text(text)
    ids = train(pipeline)
    return pipeline, Lineage(open_store(pipeline.storage), "t"), ids


def test_a_commit_gives_back_names_and_preprocessing(trained: tuple[Any, Lineage, list[str]]) -> None:
    pipeline, lineage, ids = trained
    stream = build_stream(pipeline.stream, pipeline.seed)
    commits = [lineage.read(id_) for id_ in ids]
    for commit in commits:
        assert read_description(lineage, commit) == ModelDescription(("no", "yes"), stream.preprocessing)
    assert len({commit.blobs[DESCRIPTION].sha256 for commit in commits}) == 1
    inputs, _ = stream[0].test.take(torch.arange(4))
    assert load_model(pipeline, ids[-1])(inputs).shape == (4, 2)


def test_a_resumed_run_does_not_take_it_for_state(trained: tuple[Any, Lineage, list[str]], tmp_path: Path) -> None:
    pipeline, lineage, ids = trained
    again = load_text(yaml.safe_dump({**pipeline.to_document(), "storage": str(tmp_path)}))
    other = Lineage(open_store(again.storage), "t")
    first = lineage.read(ids[0])
    other.write(first, [lineage.blob(sha256) for sha256 in first.referenced()])
    assert train(again) == ids
    assert other.read(ids[1]).blobs == lineage.read(ids[1]).blobs


def test_without_names_and_features_there_is_none() -> None:
    digits = load_text("name: d\nmodel: mlp\nstream: {dataset: digits, experiences: 2}\n")
    assert describing(build_stream(digits.stream, 0)) == {}


@pytest.mark.parametrize("content", [b"{}", b"no json", b'{"format":9,"unit_names":null,"preprocessing":null}'])
def test_a_damaged_one_is_refused(content: bytes, trained: tuple[Any, Lineage, list[str]]) -> None:
    _, lineage, ids = trained
    commit = lineage.read(ids[0])
    data = encode({"json": torch.tensor(list(content), dtype=torch.uint8)})
    record = {"sha256": lineage.put_blob(data), "bytes": len(data)}
    damaged = commit.revised(blobs={**commit.document()["blobs"], DESCRIPTION: record})
    with pytest.raises(CorruptBlob, match="does not fit the model"):
        read_description(lineage, damaged)

"""The index of blocks beside a lineage: a second run reads no content, and maintenance knows the object."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import make_plan
from orchestrator.lineage.stored_index import StoredIndex
from orchestrator.maintenance.store_contents import read_contents
from orchestrator.storage.open_by_uri import open_store
from pipelines.config.load import load_text
from pipelines.data.datasets.parquet_blocks import ParquetBlocks
from pipelines.data.streams import build_stream
from tests.pipelines.data.blocks.block_files import stream_of_files


def test_what_was_looked_at_is_not_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = stream_of_files(tmp_path / "data", 2)
    pipeline = load_text(
        f"name: s\nstream: {{dataset: {{name: parquet, path: {folder}}}, setting: domain-incremental, lanes: 4}}\n"
        "model: mlp\n"
    )
    store = open_store(str(tmp_path / "store"))
    index = StoredIndex(store, "s")
    assert index.load() is None
    first = make_plan(pipeline, build_stream(pipeline.stream, pipeline.seed, index=index))
    assert index.load() is not None

    def never(*_: object) -> None:
        raise AssertionError("the content was read again")

    monkeypatch.setattr(ParquetBlocks, "hashes", never)
    monkeypatch.setattr(ParquetBlocks, "survey", never)
    assert make_plan(pipeline, build_stream(pipeline.stream, pipeline.seed, index=index)) == first
    assert read_contents(Lineage(store, "s")).unknown == []

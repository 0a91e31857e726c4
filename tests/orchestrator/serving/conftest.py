"""Models to serve: a chain of three commits of digits, and a table with text and missing values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.open_by_uri import open_store
from pipelines.config.load import load_text
from pipelines.config.schema import Pipeline
from tests.orchestrator.prediction.conftest import Trained, trained
from tests.orchestrator.train_stream import train

__all__ = ["Trained", "trained"]


class Chain(NamedTuple):
    """A pipeline, its file, and its commits, oldest first. No test may move `latest` or damage a blob."""

    pipeline: Pipeline
    file: Path
    commits: list[str]

    @property
    def lineage(self) -> Lineage:
        return Lineage(open_store(self.pipeline.storage), self.pipeline.name)


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    folder = tmp_path_factory.mktemp("served")
    text = (
        f"name: digits\nmodel: {{name: mlp, hidden: [16]}}\nstorage: {json.dumps(str(folder / 'store'))}\n"
        "strategy: naive\nstream: {dataset: digits, experiences: 5}\ntrain: {steps: 5, batch_size: 20}\n"
    )
    (folder / "digits.yaml").write_text(text)
    pipeline = load_text(text)
    found = Chain(pipeline, folder / "digits.yaml", train(pipeline))
    found.lineage.point("latest", found.commits[-1])
    return found

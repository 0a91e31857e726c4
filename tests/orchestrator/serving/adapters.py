"""Chains of commits with adapters over one frozen model, for the tests of serving and export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.open_by_uri import open_store
from pipelines.config.load import load_text
from pipelines.config.schema import Pipeline
from tests.orchestrator.train_stream import train

STRATEGIES = {
    "stream": "{name: lora, rank: 2, alpha: 6}",
    "experience": "{name: lora, rank: 2, alpha: 6, per: experience}",
    "experts": "{name: experts, rank: 2, alpha: 6}",
}


class Adapted(NamedTuple):
    """A pipeline, its file, and its three commits, oldest first."""

    pipeline: Pipeline
    file: Path
    commits: list[str]

    @property
    def lineage(self) -> Lineage:
        return Lineage(open_store(self.pipeline.storage), self.pipeline.name)


def adapted(folder: Path, kind: str) -> Adapted:
    """A short training of digits, three experiences."""
    setting = "task-incremental" if kind == "experience" else "class-incremental"
    text = (
        f"name: d\nmodel: {{name: mlp, hidden: [12, 6]}}\nstorage: {json.dumps(str(folder / kind))}\n"
        f"strategy: {STRATEGIES[kind]}\n"
        f"stream: {{dataset: digits, setting: {setting}, order: [[0, 1, 2], [3, 4, 5], [6, 7, 8, 9]]}}\n"
        "train: {steps: 5, batch_size: 20}\n"
    )
    (folder / f"{kind}.yaml").write_text(text)
    pipeline = load_text(text)
    return Adapted(pipeline, folder / f"{kind}.yaml", train(pipeline))


@pytest.fixture(scope="session")
def chains(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Adapted]:
    """A chain of each kind. Tests may move refs, and nothing else."""
    folder = tmp_path_factory.mktemp("adapters")
    return {kind: adapted(folder, kind) for kind in STRATEGIES}

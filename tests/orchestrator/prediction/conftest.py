"""A model of a table, trained once for all tests of its use. The table it learned from is removed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from pipelines.config.load import load_text
from pipelines.config.schema import Pipeline
from tests.orchestrator.train_stream import train


class Trained(NamedTuple):
    """A pipeline with a lineage, its file, and rows such as it learned from, with missing values."""

    pipeline: Pipeline
    file: Path
    rows: pd.DataFrame


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("table")
    (folder / "months").mkdir()
    draw = np.random.default_rng(0)
    for month in range(2):
        rows = pd.DataFrame(
            {
                "tx": np.arange(60) + 100 * month,
                "amount": draw.integers(1, 400, 60) / 4,
                "country": draw.choice(["DE", "FR"], 60),
                "paid": draw.choice([True, False], 60),
                "at": pd.Timestamp("2026-01-01") + pd.to_timedelta(draw.integers(0, 10**6, 60), unit="s"),
                "kind": draw.choice(["good", "bad"], 60),
            }
        )
        rows.loc[::8, ["amount", "country"]] = None
        rows.to_csv(folder / "months" / f"{month}.csv", index=False)
    text = (
        f"name: t\nmodel: {{name: tabular-mlp, hidden: [6]}}\nstorage: {folder / 'store'}\n"
        "stream:\n  setting: domain-incremental\n"
        f"  dataset: {{name: csv, path: {folder / 'months'}, label: kind, id: tx, features: auto}}\n"
        "train: {epochs: 2, batch_size: 20}\n"
    )
    (folder / "t.yaml").write_text(text)
    pipeline = load_text(text)
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.storage.open_by_uri import open_store

    Lineage(open_store(pipeline.storage), "t").point("latest", train(pipeline)[-1])
    shutil.rmtree(folder / "months")
    return Trained(pipeline, folder / "t.yaml", rows.drop(columns="kind"))

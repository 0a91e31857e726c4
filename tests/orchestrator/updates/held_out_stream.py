"""A small stream with a frozen holdout."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
from torch import Tensor

from orchestrator.updates.admission_log import read_admissions
from pipelines.config.schema import Pipeline
from tests.orchestrator.updates.arrivals import lineage_of, pipeline_of, step

FILE = """
name: held
stream:
  source:
    {{path: "{folder}/in", format: csv, id: key, classes: 2, test: {{id_hash: 0.3}}, ready: {{age: 0s}}{more}}}
  setting: domain-incremental
model: {{name: mlp, hidden: [4]}}
train: {{batch_size: 20, optimizer: {{lr: 0.02}}}}
storage: "{folder}/store"
tracking: {{uri: "{folder}/mlflow"}}
gate:
  holdout: {{samples: 50, margin: 0.5}}
  recent: {{margin: 0.9}}
  slices: {{by: [class, region, amount, nothing], minimum: 5, margin: 0.9}}
  calibration: 0.9
  latency: 1000
  size: 2
  negative_flips: 0.9
  undecided: promote
  promote: automatic
"""


def deliver(folder: Path, name: str, keys: range, seed: int) -> None:
    random = np.random.default_rng(seed)
    lines = ["key,region,amount,label"]
    for key in keys:
        label = int(random.integers(2))
        lines.append(f"{key},{random.integers(3)},{label * 2 + random.normal():.4f},{label}")
    path = folder / "in" / f"{name}.csv"
    path.write_text("\n".join(lines) + "\n")
    then = time.time() - 1000 + seed
    os.utime(path, (then, then))


def grow(folder: Path) -> Pipeline:
    """Three experiences in two steps; some ids are delivered twice."""
    pipeline = pipeline_of(folder, text=FILE)
    deliver(folder, "a", range(200), 0)
    step(pipeline)
    deliver(folder, "b", range(150, 350), 1)
    deliver(folder, "c", range(300, 400), 2)
    step(pipeline)
    return pipeline


def held(pipeline: Pipeline) -> dict[str, Tensor]:
    """What the store has of the frozen holdout."""
    lineage = lineage_of(pipeline)
    state = read_admissions(lineage)
    assert state is not None
    blob = state.holdout_blob()
    assert blob is not None
    return lineage.tensors(blob.sha256)

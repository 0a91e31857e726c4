"""Real files of inputs, and files of their labels that come later."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipelines.config.schema import Pipeline
from tests.orchestrator.updates.arrivals import CENTRES, FILE, aged, pipeline_of

MORE = ', id: key, mature: 7d, labels: "{folder}/labels"'
DAY = 86400.0


def delayed(folder: Path, more: str = "") -> Pipeline:
    return pipeline_of(folder, MORE.format(folder=folder) + more)


def delayed_file(folder: Path) -> Path:
    """The same as a pipeline file."""
    path = folder / "delayed.yaml"
    path.write_text(FILE.format(folder=folder, more=MORE.format(folder=folder)))
    (folder / "in").mkdir(exist_ok=True)
    return path


def bring(folder: Path, name: str, ids: range, *, age: float = 1000, shift: float = 0.0) -> None:
    """Inputs of classes 0 and 1 in turn, moved by `shift`."""
    random = np.random.default_rng(ids.start)
    x = (CENTRES[np.array(ids) % 2] + 0.3 * random.normal(size=(len(ids), 5)) + shift).astype("float32")
    path = folder / "in" / f"{name}.npz"
    np.savez(path, x=x, key=np.array(ids))
    aged(path, age)


def label(folder: Path, name: str, ids: range, *, age: float = 900, other: int = 0) -> None:
    path = folder / "labels" / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text("key,label\n" + "".join(f"{id_},{(id_ + other) % 2}\n" for id_ in ids))
    aged(path, age)

"""Drift between the experiences of a stream."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pipelines.build import make_stream
from pipelines.config.load import load_text
from pipelines.data.streams import Stream, build_stream
from pipelines.drift.stream_drift import stream_drift
from pipelines.drift.two_sample import TESTS


def stream(folder: Path, means: list[float], *, rows: int = 300) -> Stream:
    """A folder of one npz file for each mean, of two columns and balanced labels."""
    folder.mkdir()
    random = np.random.default_rng(7)
    for index, mean in enumerate(means):
        inputs = random.normal(mean, 1, (rows, 2)).astype(np.float32)
        labels, ids = np.arange(rows) % 2, np.arange(rows) + index * rows
        np.savez(folder / f"{index}.npz", x=inputs, y=labels, id=ids)
    file = f"""
name: chunks
stream:
  dataset: {{name: npz, path: {folder}, inputs: x, label: y, id: id}}
  setting: domain-incremental
model: {{name: mlp, hidden: [4]}}
strategy: [{{name: naive}}]
train: {{epochs: 1}}
storage: {folder}/store
"""
    pipeline = load_text(file, "chunks.yaml")
    return build_stream(pipeline.stream, 0)


def test_targets_in_columns_are_compared_by_their_distributions(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    for index, shift in enumerate([0.0, 0.0, 0.0, 3.0]):
        targets = np.stack([random.normal(0, 1, 300), random.normal(shift, 1, 300)], 1)
        np.savez(tmp_path / f"{index}.npz", x=random.normal(0, 1, (300, 2)).astype(np.float32), y=targets)
    file = f"""
name: chunks
objective: regression
stream: {{dataset: {{name: npz, path: {tmp_path}}}, setting: domain-incremental}}
model: mlp
storage: {tmp_path}/store
"""
    found = stream_drift(make_stream(load_text(file, "chunks.yaml")))
    assert [e.tests["labels"].drift for e in found] == [False, False, True]
    assert not any(e.tests["ks"].drift for e in found)


@pytest.mark.parametrize("name", TESTS)
def test_the_chunk_that_differs_is_named(tmp_path: Path, name: str) -> None:
    found = stream_drift(stream(tmp_path / "data", [0, 0, 0, 2]), [name])
    assert [e.experience for e in found] == [1, 2, 3]
    assert [e.drift for e in found] == [False, False, True]
    assert not found[-1].tests["labels"].drift and found[-1].tests[name].drift


class Shuffled:
    """The experiences of a stream with the rows of their training sets in another order."""

    def __init__(self, stream: Stream) -> None:
        self.outputs = stream.outputs
        self.experiences = list(stream)

    def __iter__(self) -> Iterator[SimpleNamespace]:
        for experience in self.experiences:
            order = torch.randperm(len(experience.train), generator=torch.Generator().manual_seed(1))
            yield SimpleNamespace(index=experience.index, train=experience.train.subset(order))


def test_the_order_of_the_rows_changes_nothing(tmp_path: Path) -> None:
    chunks = stream(tmp_path / "data", [0, 0.3, 0], rows=1500)
    shuffled: Any = Shuffled(chunks)
    for one, other in zip(stream_drift(chunks, list(TESTS)), stream_drift(shuffled, list(TESTS)), strict=True):
        assert one == other


def test_new_classes_are_a_change_of_labels() -> None:
    pipeline = load_text(
        "name: d\nstream: {dataset: digits, experiences: 5}\nmodel: {name: mlp, hidden: [4]}\n"
        "strategy: [{name: naive}]\ntrain: {epochs: 1}\nstorage: /nowhere\n",
        "d.yaml",
    )
    found = stream_drift(build_stream(pipeline.stream, 0))
    assert all(e.tests["labels"].effect == 1 and e.drift for e in found)


def test_outputs_of_a_model_are_compared_instead(tmp_path: Path) -> None:
    chunks = stream(tmp_path / "data", [0, 3])
    blind = stream_drift(chunks, outputs=lambda inputs: torch.zeros(len(inputs), 2))

    def sums(inputs: Tensor) -> Tensor:
        return torch.stack([inputs.sum(1), -inputs.sum(1)], 1)

    assert not blind[0].drift and stream_drift(chunks, outputs=sums)[0].drift


def test_an_unknown_test_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no test 'psi'; there are ks, mmd, classifier"):
        stream_drift(stream(tmp_path / "data", [0]), ["psi"])

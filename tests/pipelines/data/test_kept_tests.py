"""Test sets are made once, and hold no more than their own samples."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.config.load import load_text
from pipelines.data import kept_tests
from pipelines.data.samples import TensorSamples
from pipelines.data.streams import Stream, build_stream

TEXT = """
name: kept
stream: {{dataset: {{name: npz, path: {folder}}}, setting: domain-incremental}}
model: {{name: mlp, hidden: [4]}}
"""


def _stream(folder: Path) -> Stream:
    generator = np.random.default_rng(0)
    for index in range(3):
        x = generator.normal(size=(50, 6)).astype(np.float32)
        np.savez(folder / f"{index}.npz", x=x, y=generator.integers(0, 2, 50))
    pipeline = load_text(TEXT.format(folder=folder))
    return build_stream(pipeline.stream, pipeline.seed)


def _all(stream: Stream) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [one.test.take(torch.arange(len(one.test))) for one in stream]


def test_a_test_set_is_read_once_and_holds_its_own_rows(tmp_path: Path) -> None:
    stream = _stream(tmp_path)
    before, prints = _all(stream), [stream.test_fingerprint(index) for index in range(3)]
    for file in tmp_path.iterdir():
        file.unlink()
    for (inputs, targets), (again, same) in zip(before, _all(stream[:]), strict=True):
        assert torch.equal(inputs, again) and torch.equal(targets, same)
    test = stream[2].test
    assert isinstance(test, TensorSamples)
    assert test.inputs().untyped_storage().nbytes() == len(test) * 6 * 4
    assert stream.without(0)[0].test is stream[1].test
    assert prints == [stream.test_fingerprint(index) for index in range(3)]


def test_what_does_not_fit_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = _stream(tmp_path)
    sizes = [one.test.bytes for one in kept if isinstance(one.test, TensorSamples)]
    monkeypatch.setattr(kept_tests, "LIMIT", sizes[0] + sizes[1])
    stream = _stream(tmp_path)
    for (inputs, targets), (again, same) in zip(_all(kept), _all(stream), strict=True):
        assert torch.equal(inputs, again) and torch.equal(targets, same)
    last = stream[2].test
    assert len(stream[0].train)  # the dataset keeps what it read last
    assert [stream[2].test is last, *(stream[index].test is stream[index].test for index in (0, 1))] == [0, 1, 1]


def test_a_pickle_carries_none_of_them() -> None:
    text = "name: kept\nstream: {dataset: digits, setting: domain-incremental, transform: permute, experiences: 3}\n"
    pipeline = load_text(text + "model: {name: mlp, hidden: [4]}\n")
    stream = build_stream(pipeline.stream, pipeline.seed)
    size, before = len(pickle.dumps(stream)), _all(stream)
    again = pickle.loads(pickle.dumps(stream))
    assert len(pickle.dumps(stream)) == size
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(before, _all(again), strict=True))

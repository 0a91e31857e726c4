"""MNIST, where it is on the machine."""

from __future__ import annotations

from pathlib import Path

import torch

from pipelines.data.datasets.mnist import load


def test_the_original_files(mnist_folder: Path) -> None:
    found = load(str(mnist_folder))
    assert (len(found.train), len(found.test), found.classes, found.input_shape) == (60000, 10000, 10, (1, 28, 28))
    inputs, targets = found.train.take(torch.arange(10))
    assert inputs.dtype == torch.uint8
    assert targets.tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert found.test.targets[:5].tolist() == [7, 2, 1, 0, 4]
    assert found.train.ids.tolist() == list(range(60000))

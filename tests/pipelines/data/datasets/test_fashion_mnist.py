"""Fashion-MNIST, where it is on the machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipelines.data.datasets.fashion_mnist import FASHION_MNIST, load
from pipelines.data.datasets.mnist import MNIST

# Where Debian's package dataset-fashion-mnist puts it.
PLACES = [os.environ.get("EVERLEARN_DATA", ""), "/usr/share/datasets"]


def test_the_original_files() -> None:
    name = FASHION_MNIST.files[0].name
    folder = next((place for place in PLACES if place and list(Path(place).glob(f"**/*ashion*/**/{name}*"))), None)
    if folder is None:
        pytest.skip("Fashion-MNIST is not on this machine: set EVERLEARN_DATA to the folder that holds it")
    found = load(folder)
    assert (len(found.train), len(found.test), found.classes, found.input_shape) == (60000, 10000, 10, (1, 28, 28))
    assert found.train.targets[:5].tolist() == [9, 0, 0, 3, 0]


def test_it_is_not_taken_for_mnist() -> None:
    assert [f.name for f in FASHION_MNIST.files] == [f.name for f in MNIST.files]
    assert not {f.sha256 for f in FASHION_MNIST.files} & {f.sha256 for f in MNIST.files}

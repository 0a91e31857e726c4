"""Data for the tests of pipelines."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipelines.data.datasets.mnist import MNIST

_BESIDE_THE_CHECKOUT = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def mnist_folder() -> Path:
    """A data folder with MNIST; skips where there is none."""
    data = Path(os.environ.get("EVERLEARN_DATA") or _BESIDE_THE_CHECKOUT)
    name = MNIST.files[0].name
    if not any((data / folder / f"{name}{ending}").is_file() for folder in MNIST.folders for ending in (".gz", "")):
        pytest.skip("MNIST is not on this machine: set EVERLEARN_DATA to the folder that holds it")
    return data

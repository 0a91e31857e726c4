"""The handwritten digits that are part of scikit-learn, without a download."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from pipelines.data.datasets.dataset import Dataset, from_tensors
from pipelines.data.datasets.stratified_holdout import stratified_holdout

TEST_FRACTION = 0.2


def load() -> Dataset:
    """Handwritten digits of scikit-learn: 1797 images of 8x8, 10 classes, part of the installation.

    Stored as uint8, shape (1, 8, 8): the original grey levels 0 to 16 are spread over 0 to 255, as in other image sets.
    The original has no test set; a fixed fifth of each class is held out.
    """
    table = _table()
    inputs = np.rint(table[:, :-1] * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    labels = table[:, -1].astype(np.int64)
    train, test = stratified_holdout(labels, TEST_FRACTION)
    return from_tensors("digits", (inputs[train], labels[train]), (inputs[test], labels[test]), classes=10)


def _table() -> np.ndarray:
    """(1797, 65): the 64 grey levels of each image, and its label.

    Read from scikit-learn's own file where the installation has it, because importing the package takes each process
    two seconds.
    """
    package = find_spec("sklearn")
    for folder in (package.submodule_search_locations or ()) if package else ():
        file = Path(folder, "datasets", "data", "digits.csv.gz")
        if file.is_file():
            return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return np.column_stack([bunch.data, bunch.target])

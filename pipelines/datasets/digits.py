"""The handwritten digits that come with scikit-learn: nothing to download."""

from __future__ import annotations

import numpy as np

from pipelines.datasets.dataset import Dataset, from_tensors
from pipelines.datasets.holdout import stratified_holdout

TEST_FRACTION = 0.2


def load() -> Dataset:
    """Handwritten digits of scikit-learn: 1797 images of 8x8, 10 classes, part of the installation.

    Stored as uint8, shape (1, 8, 8): the original grey levels 0 to 16 are spread over 0 to 255, as in other image sets.
    The original has no test set; a fixed fifth of each class is held out.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    inputs = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = bunch.target.astype(np.int64)
    train, test = stratified_holdout(labels, TEST_FRACTION)
    return from_tensors("digits", (inputs[train], labels[train]), (inputs[test], labels[test]), classes=10)

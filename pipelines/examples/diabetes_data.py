"""Progress of diabetes in 442 patients: real measurements (Efron et al. 2004), which scikit-learn's wheel brings along.

What holds for young patients is not what holds for old ones: a domain is a third of the patients, by their age.
"""

from __future__ import annotations

import numpy as np

from pipelines import dataset

DOMAINS = 3


@dataset
def load() -> list[object]:
    """A list with (training set, test set) of each third, youngest first: inputs (n, 9) float32, targets (n,) float32.

    Inputs are sex, body mass index, blood pressure and six values of the blood serum, standardised over all patients,
    without the age. The target is a measure of the disease one year later, 25 to 346. Every fifth patient of a third is
    for testing.
    """
    from sklearn.datasets import load_diabetes

    found = load_diabetes(scaled=False)
    age, rest = found.data[:, 0], found.data[:, 1:]
    inputs = ((rest - rest.mean(0)) / rest.std(0)).astype(np.float32)
    targets = found.target.astype(np.float32)
    thirds = np.array_split(np.argsort(age, kind="stable"), DOMAINS)
    return [
        tuple((inputs[rows], targets[rows]) for rows in (np.delete(third, np.s_[::5]), third[::5])) for third in thirds
    ]

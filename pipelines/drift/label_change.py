"""Change of the classes' shares: from labels, or from a classifier's predictions where there are none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipelines.drift.two_sample import Array, Comparison


def class_shares(reference: Sequence[int], sample: Sequence[int]) -> Comparison:
    """The total variation distance of two class histograms, and the p-value of the chi-squared test of homogeneity.

    Args:
        reference: how many samples each class has, (k,), not all 0.
        sample: the same classes of the other sample, (k,), not all 0.
    """
    from scipy.stats import chi2_contingency

    counts = np.array([reference, sample], dtype=np.float64)
    counts = counts[:, counts.sum(axis=0) > 0]
    shares = counts / counts.sum(axis=1, keepdims=True)
    effect = float(np.abs(shares[0] - shares[1]).sum() / 2)
    p_value = float(chi2_contingency(counts, correction=False).pvalue) if counts.shape[1] > 1 else 1.0
    return Comparison(effect, p_value)


def label_shift(confusion: Array, predicted: Array) -> Array:
    """Estimate the classes' shares of unlabelled data from a classifier's predictions, (k,).

    Assumes label shift: the inputs of each class are distributed as before. Solved by least squares, then clipped to
    0 and above and scaled to sum to 1.

    Source: Lipton, Wang & Smola 2018 (BBSE), equation 3.

    Args:
        confusion: (k, k): confusion[i, j] is the share of held-out labelled samples predicted as i and of class j.
        predicted: (k,): share of each prediction among the unlabelled samples.

    Raises:
        ValueError: the confusion matrix cannot be inverted: some classes are predicted alike.
    """
    if np.linalg.matrix_rank(confusion, tol=1e-9) < len(confusion):
        raise ValueError("the confusion matrix is singular: the classifier does not tell some classes apart")
    weights = np.clip(np.linalg.solve(confusion, predicted), 0, None)
    shares = weights * confusion.sum(axis=0)
    scaled: Array = shares / shares.sum()
    return scaled

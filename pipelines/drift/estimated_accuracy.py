"""An estimate of a model's accuracy on data without labels, from how certain it is. It is shown, and never decides.

Where inputs move to places that the model does not know it is as certain as ever, and the estimate is far too high:
0.66 where 0.10 is right on permuted images, 0.95 where 0.004 is right on rotated labels.
"""

from __future__ import annotations

import numpy as np

from pipelines.drift.two_sample import Array


def estimated_accuracy(
    probabilities: Array, *, calibration: tuple[Array, Array] | None = None, bins: int = 10
) -> float:
    """The mean of the probabilities that the most likely classes have, as they turned out to be on labelled data.

    Source: NannyML's confidence-based performance estimation (CBPE); Guillory et al. 2021 (difference of confidences).

    Args:
        probabilities: (n, classes) of unlabelled samples, n > 0.
        calibration: probabilities (m, classes) and classes (m,) of labelled samples, m > 0: the share of right answers
            in each of the bins of confidence stands for the confidence; None: the model is taken to be calibrated.
        bins: of equally many labelled samples.
    """
    confidence = probabilities.max(axis=1)
    if calibration is None:
        return float(confidence.mean())
    known, labels = calibration
    right = (known.argmax(axis=1) == labels).astype(np.float64)
    own = known.max(axis=1)
    inner = np.unique(np.quantile(own, np.arange(1, bins) / bins))
    place = np.searchsorted(inner, own, side="right")
    counts = np.bincount(place, minlength=len(inner) + 1)
    shares = np.bincount(place, weights=right, minlength=len(inner) + 1) / np.maximum(counts, 1)
    shares = np.where(counts > 0, shares, right.mean())
    return float(shares[np.searchsorted(inner, confidence, side="right")].mean())

"""The estimate without labels: right where the model is calibrated, and wrong where only the labels have changed."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.drift.estimated_accuracy import estimated_accuracy


def answers(n: int, low: float, power: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of two classes, and classes that are drawn by their `power`: 1 for a calibrated model."""
    random = np.random.default_rng(seed)
    certain = random.uniform(low, 1, n)
    right = random.random(n) < certain**power
    first = random.random(n) < 0.5
    probabilities = np.where(first, certain, 1 - certain)
    labels = np.where(right, np.where(first, 0, 1), np.where(first, 1, 0))
    return np.stack([probabilities, 1 - probabilities], 1), labels


def test_a_calibrated_model_is_estimated_on_data_of_other_certainty() -> None:
    for low in (0.5, 0.7, 0.9):
        probabilities, labels = answers(20_000, low, 1, 3)
        accuracy = float((probabilities.argmax(1) == labels).mean())
        assert estimated_accuracy(probabilities) == pytest.approx(accuracy, abs=0.01)


def test_one_that_is_too_certain_is_corrected_by_labelled_data() -> None:
    known = answers(20_000, 0.5, 3, 1)
    probabilities, labels = answers(20_000, 0.8, 3, 2)
    accuracy = float((probabilities.argmax(1) == labels).mean())
    assert estimated_accuracy(probabilities) > accuracy + 0.1
    assert estimated_accuracy(probabilities, calibration=known) == pytest.approx(accuracy, abs=0.02)


def test_it_cannot_see_labels_that_changed() -> None:
    probabilities, labels = answers(2000, 0.8, 1, 4)
    accuracy = float((probabilities.argmax(1) == 1 - labels).mean())
    assert estimated_accuracy(probabilities, calibration=(probabilities, labels)) > accuracy + 0.5

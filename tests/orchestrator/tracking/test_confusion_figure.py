"""The picture of a confusion matrix: its size, and that it shows what it is given."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from orchestrator.tracking.confusion_figure import confusion_figure


def pixels(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as image:
        return image.size


@pytest.mark.parametrize("n", [1, 2, 10, 100])
def test_it_is_drawn_for_few_and_many_classes_and_fits_a_screen(n: int) -> None:
    counts = np.full((n, n), 1) + 50 * np.eye(n, dtype=int)
    picture = confusion_figure(counts.tolist(), title="costs $5", subtitle="naive")
    width, height = pixels(picture)
    assert 700 <= width <= 2000 and 300 <= height <= 2000
    assert picture == confusion_figure(counts.tolist(), title="costs $5", subtitle="naive")


def test_a_mistake_and_an_empty_class_can_be_seen() -> None:
    right = [[10, 0, 0], [0, 10, 0], [0, 0, 10]]
    pictures = {confusion_figure(m, title="t") for m in (right, [[9, 1, 0], *right[1:]], [*right[:2], [0, 0, 0]])}
    assert len(pictures) == 3


def test_classes_are_called_by_their_names() -> None:
    counts = [[9, 1], [0, 10]]
    named = confusion_figure(counts, title="t", names=["$cat$", "a dog with a name that is too long for a figure"])
    assert named not in (confusion_figure(counts, title="t"), confusion_figure(counts, title="t", names=["cat", "dog"]))
    assert confusion_figure(counts, title="t", names=["cat"]) == confusion_figure(counts, title="t")
    assert pixels(named)[0] <= 2000

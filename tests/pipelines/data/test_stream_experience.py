"""An experience gives its samples under its transform."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from pipelines.data.datasets.digits import load
from pipelines.data.experience_samples import transformed_parts
from pipelines.data.stream_experience import StreamExperience


class Negative:
    """A transform."""

    parameters: ClassVar[dict[str, Any]] = {"name": "negative"}

    def __call__(self, inputs: Tensor) -> Tensor:
        return -inputs


def test_samples_of_both_sets_are_transformed() -> None:
    data = load()
    (part,) = transformed_parts(data, [Negative()], "domain-incremental")
    made = StreamExperience(3, part)
    for ours, stored in ((made.train, data.train), (made.test, data.test)):
        rows = torch.arange(len(stored))
        assert torch.equal(ours.take(rows)[0], -stored.take(rows)[0])
        assert torch.equal(ours.take(rows)[1], stored.take(rows)[1])
    assert made.test is made.test
    assert (made.index, made.task, made.classes, made.outputs) == (3, 3, tuple(range(10)), None)

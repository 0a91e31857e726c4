"""The samples of one experience: rows, units and ids."""

from __future__ import annotations

import pytest
import torch

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.dataset import Dataset, ExperienceDataset, from_tensors
from pipelines.data.experience_samples import ID_BITS, ClassPart, StoredPart, class_parts, transformed_parts
from pipelines.data.samples import TensorSamples

LABELS = torch.tensor([2, 0, 1, 2, 0, 3])


def _dataset() -> Dataset:
    rows = torch.arange(6.0)[:, None]
    return from_tensors("own", (rows, LABELS), (rows[:4], LABELS[:4]), ids=(torch.arange(6) * 10, torch.arange(4)))


def test_rows_of_the_classes_get_their_units_and_keep_their_ids() -> None:
    part = ClassPart(_dataset(), classes=(2, 0), units=(5, 1), outputs=None)
    train = part.train()
    assert train.targets.tolist() == [5, 1, 5, 1]
    assert train.ids.tolist() == [0, 10, 30, 40]
    assert train.take(torch.arange(4))[0].flatten().tolist() == [0, 1, 3, 4]
    assert part.test().targets.tolist() == [5, 1, 5]


def test_missing_samples_are_named() -> None:
    assert ClassPart(_dataset(), (0, 1), (0, 1), None).empty() == []
    assert ClassPart(_dataset(), (3,), (0,), None).empty() == ["test"]


@pytest.mark.parametrize(
    ("setting", "units", "outputs"),
    [
        ("class-incremental", [(2, 0), (3,)], [None, None]),
        ("task-incremental", [(2, 0), (3,)], [(0, 2), (3,)]),
        ("domain-incremental", [(0, 1), (0,)], [None, None]),
    ],
)
def test_units_by_setting(setting: str, units: list[tuple[int, ...]], outputs: list[tuple[int, ...] | None]) -> None:
    parts = class_parts(_dataset(), [(2, 0), (3,)], setting)
    assert [part.units for part in parts] == units
    assert [part.outputs for part in parts] == outputs


def test_transformed_parts_number_their_rows_anew() -> None:
    parts = transformed_parts(_dataset(), [None, None, None], "domain-incremental")
    assert parts[2].train().ids.tolist() == [(2 << ID_BITS) + row for row in range(6)]
    assert parts[2].train().targets.tolist() == LABELS.tolist()
    assert transformed_parts(_dataset(), [None] * 3, "task-incremental")[2].outputs == (8, 9, 10, 11)


class _Experiences(ExperienceDataset):
    name, classes, input_shape = "own", 3, (1,)

    def __len__(self) -> int:
        return 2

    def train(self, index: int) -> TensorSamples:
        return TensorSamples(torch.zeros(2, 1), torch.tensor([index, 2]))

    def test(self, index: int) -> TensorSamples:
        return TensorSamples(torch.zeros(index, 1), torch.zeros(index))

    def classes_of(self, index: int) -> tuple[int, ...]:
        return (index, 2)


def test_a_stored_part_is_what_the_dataset_has() -> None:
    part = StoredPart(_Experiences(), 1, masked=True)
    assert (part.classes, part.outputs, part.train().targets.tolist()) == ((1, 2), (1, 2), [1, 2])
    assert StoredPart(_Experiences(), 1, masked=False).outputs is None
    with pytest.raises(DataError, match="own: experience 0 has no test samples"):
        StoredPart(_Experiences(), 0, masked=False).test()

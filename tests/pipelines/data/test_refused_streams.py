"""Streams that cannot be: what is refused, and what is warned about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.config.pipeline_errors import DataError, PipelineError
from tests.pipelines.data.made_streams import OWN, stream


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"experiences": 5},
            r"5 experiences, but the dataset has only 4 classes.*\(domains\).*one file for each",
        ),
        ({}, "stream.experiences: is missing"),
        ({"order": [[0, 7]]}, "no class 7 exists"),
        ({"order": [[0], [1]], "experiences": 3}, "stream.order lists 2"),
        ({"transform": "permute"}, "stream.experiences: is missing"),
        ({"transform": "permute", "experiences": 2, "order": [[0], [1]]}, "leave `order` out"),
        ({"transform": "permute", "experiences": 2, "blurry": 0.1}, "leave `blurry` out"),
        ({"experiences": 2, "blurry": 0.1, "setting": "task-incremental"}, "task labels"),
        ({"order": [[0, 1, 2, 3]], "blurry": 0.1}, "one experience"),
        ({"transform": "blur", "experiences": 2}, "unknown 'blur'; known: permute, rotate"),
        (
            {"transform": "permute", "experiences": 2, "transform_options": {"degrees": 3}},
            "stream.transform.degrees: unknown key; there are none",
        ),
        (
            {"dataset": f"{OWN}arrays", "experiences": 2, "cuont": 3},
            "stream.dataset.cuont: unknown key, did you mean 'count'",
        ),
        (
            {"dataset": f"{OWN}arrays", "experiences": 2, "count": "many"},
            "stream.dataset.count: must be a whole number, got .*many",
        ),
        ({"dataset": f"{OWN}nothing_useful", "experiences": 2}, "must return .*not int"),
        ({"dataset": f"{OWN}with_nan", "experiences": 2}, "training set: the input in row 7 has values that are NaN"),
        ({"dataset": f"{OWN}arrays", "shape": [0], "experiences": 2}, "inputs are empty"),
        ({"dataset": "mnits"}, "unknown dataset 'mnits'"),
    ],
)
def test_what_cannot_be_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        stream(**arguments)


def test_a_folder_takes_no_classes_no_transforms_and_no_blur(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones((4, 2)), y=[0, 0, 1, 1])
    for arguments in ({"order": [[0], [1]]}, {"transform": "permute"}, {"experiences": 2}, {"blurry": 0.1}):
        with pytest.raises(DataError, match="stream"):
            stream("npz", path=str(tmp_path), **arguments)  # type: ignore[arg-type]


def test_an_experience_without_samples_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones((4, 2)), y=[0, 0, 1, 1])
    with pytest.raises(DataError, match=r"experience 2 \(classes 2\) has no training samples"):
        stream("npz", path=str(tmp_path / "a.npz"), classes=3, experiences=3)
    np.savez(tmp_path / "b.npz", x=np.ones((1, 2)), y=[0])
    with pytest.raises(DataError, match=r"experience 1 has no test samples: .*b\.npz: .*single row.* dataset\.test"):
        _ = stream("npz", path=str(tmp_path))[1].test


def test_labels_that_do_not_start_at_0_are_refused_with_the_remedy(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones((12, 2)), y=np.arange(12) // 2 + 10)
    with pytest.raises(DataError, match=r"(?s)no training samples.*dataset\.classes: \[10, 11, 12, 13, 14, 15\]"):
        stream("npz", path=str(tmp_path / "a.npz"), experiences=3)
    found = stream("npz", path=str(tmp_path / "a.npz"), classes=[10, 11, 12, 13, 14, 15], order=[["15", "10"], ["12"]])
    assert (found[0].classes, found.class_names, found.warnings) == ((5, 0), ("10", "11", "12", "13", "14", "15"), ())
    listed = stream("npz", path=str(tmp_path / "a.npz"), order=[[10, 11], [12, 13]])
    assert listed.outputs == 16
    assert "units, for 0 to 15" in listed.warnings[0]
    assert listed[:1].warnings == listed.warnings


def test_images_with_channels_last_are_not_read_as_many_channels() -> None:
    for name in ("permute", "rotate"):
        with pytest.raises(DataError, match=f"{name}: inputs of 8x9x3 would be read as 8 channels of 9x3"):
            stream(f"{OWN}arrays", shape=[8, 9, 3], experiences=2, transform=name, setting="domain-incremental")
    assert "8x9x3" in stream(f"{OWN}arrays", shape=[8, 9, 3], experiences=2).warnings[0]

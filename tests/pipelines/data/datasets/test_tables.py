"""Files as experiences: laws over any files, and the memory they take."""

from __future__ import annotations

import pickle
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.dataset import ExperienceDataset
from pipelines.data.datasets.npz import load

MEBIBYTE = 1 << 20


def _folder(folder: Path, files: list[list[int]]) -> ExperienceDataset:
    for number, labels in enumerate(files):
        np.savez(folder / f"{number:03}.npz", x=np.arange(len(labels))[:, None], y=np.array(labels))
    found = load(str(folder), test_fraction=0.3)
    assert isinstance(found, ExperienceDataset)
    return found


@given(st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=20), min_size=1, max_size=4))
@settings(max_examples=20)
def test_every_row_is_in_one_experience_once(files: list[list[int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = _folder(Path(folder), files)
        assert len(found) == len(files)
        assert found.classes == max(map(max, files)) + 1
        ids: list[int] = []
        for index, labels in enumerate(files):
            assert found.classes_of(index) == tuple(sorted(set(labels)))
            for samples in (found.test(index), found.train(index)):
                ids += samples.ids.tolist()
                rows = samples.take(torch.arange(len(samples)))[0].flatten()
                assert samples.ids.tolist() == ((index << 40) + rows).tolist()
                assert samples.targets.tolist() == [labels[row] for row in rows.tolist()]
        assert sorted(ids) == [(index << 40) | row for index, labels in enumerate(files) for row in range(len(labels))]


def test_a_test_file_beside_a_folder_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    _folder(tmp_path / "train", [[0, 1, 0, 1]])
    np.savez(tmp_path / "test.npz", x=np.zeros((2, 1)), y=[0, 1])
    with pytest.raises(DataError, match=r"test\.npz: dataset\.test is a file, .* of the same name for each"):
        load(str(tmp_path / "train"), test=str(tmp_path / "test.npz"))
    with pytest.raises(DataError, match=r"train: dataset\.test is a folder, .* Name a file with the test rows"):
        load(str(tmp_path / "test.npz"), test=str(tmp_path / "train"))


def test_images_with_channels_last_are_turned_where_the_file_says_so(tmp_path: Path) -> None:
    images = np.arange(4 * 9 * 8 * 3, dtype=np.float32).reshape(4, 9, 8, 3)
    (tmp_path / "many").mkdir()
    for file in ("one", "many/1"):
        np.savez(tmp_path / f"{file}.npz", x=images, y=[0, 1, 0, 1])
    for path in (tmp_path / "one.npz", tmp_path / "many"):
        (text,) = load(str(path)).warnings
        assert "9x8x3 look like images with their channels last" in text and "dataset.channels: last" in text
        turned = load(str(path), channels="last")
        assert (turned.input_shape, turned.warnings) == ((3, 9, 8), ())
    assert isinstance(turned, ExperienceDataset)
    samples = turned.train(0)
    expected = torch.from_numpy(images)[samples.ids].permute(0, 3, 1, 2)
    assert torch.equal(samples.take(torch.arange(len(samples)))[0], expected)
    np.savez(tmp_path / "flat.npz", x=images.reshape(4, -1), y=[0, 1, 0, 1])
    with pytest.raises(DataError, match=r"flat\.npz: dataset\.channels: an input of shape \(216,\) has no channels"):
        load(str(tmp_path / "flat.npz"), channels="last")


def test_memory_is_that_of_one_file(tmp_path: Path) -> None:
    size = 4 * MEBIBYTE
    for number in range(8):
        inputs = np.full((100, size // 100 // 4), number, dtype=np.float32)
        np.savez(tmp_path / f"{number}.npz", x=inputs, y=np.arange(100) % 2)
    tracemalloc.start()
    try:
        found = load(str(tmp_path))
        assert isinstance(found, ExperienceDataset)
        for index in range(len(found)):
            samples = found.train(index)
            assert float(samples.take(torch.tensor([0]))[0][0, 0]) == index
        assert tracemalloc.get_traced_memory()[1] < 2.5 * size
    finally:
        tracemalloc.stop()
    assert len(pickle.dumps(found)) < 5000


def test_one_file_is_read_once_for_training_and_test(tmp_path: Path) -> None:
    found = _folder(tmp_path, [[0, 0, 1, 1], [0, 0, 1, 1]])
    train = found.train(1)
    (tmp_path / "001.npz").unlink()
    assert len(found.test(1)) + len(train) == 4


def test_an_id_that_two_files_have_is_refused_with_both_rows(tmp_path: Path) -> None:
    """To a memory they would be one sample: those of later files would never be kept."""
    for number, ids in enumerate(([1, 2, 3, 4], [5, 6, 7, 8], [9, 7, 10, 4])):
        np.savez(tmp_path / f"{number}.npz", x=np.arange(4)[:, None], y=np.array([0, 0, 1, 1]), id=np.array(ids))
    found = load(str(tmp_path), id="id")
    assert isinstance(found, ExperienceDataset)
    assert found.train(0).ids.max() <= 4 and found.train(1).ids.min() >= 5 and len(found.train(0)) > 0
    said = r"2\.npz: row 3 has the id 4, which row 3 of 0\.npz has too .*leave out dataset\.id"
    with pytest.raises(DataError, match=said):
        found.train(2)
    assert found.train(1).ids.min() >= 5

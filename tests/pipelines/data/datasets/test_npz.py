"""numpy archives.

Covers: `pipelines/data/datasets/npz_reader.py`
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.arriving_files import FileBytes
from pipelines.data.datasets.dataset import Dataset, ExperienceDataset
from pipelines.data.datasets.npz import load
from pipelines.data.datasets.npz_reader import NpzReader

X = np.arange(60, dtype=np.float32).reshape(20, 3)
Y = np.arange(20) % 4


def _single(*args: Any, **options: Any) -> Dataset:
    found = load(*args, **options)
    assert isinstance(found, Dataset)
    return found


def test_one_file_with_a_held_out_part(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=X, y=Y)
    found = _single(str(tmp_path / "data.npz"), test_fraction=0.4)
    assert (found.classes, found.input_shape, len(found.train), len(found.test)) == (4, (3,), 12, 8)
    assert sorted([*found.train.ids.tolist(), *found.test.ids.tolist()]) == list(range(20))
    for samples in (found.train, found.test):
        inputs, targets = samples.take(torch.arange(len(samples)))
        assert inputs.dtype == torch.float32
        assert inputs.tolist() == X[samples.ids.numpy()].tolist()
        assert targets.tolist() == Y[samples.ids.numpy()].tolist()


def test_files_for_training_and_test(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", images=X.astype(np.uint8), kind=Y, who=Y.cumsum() * 3 + np.arange(20))
    np.savez(tmp_path / "b.npz", images=X[:5].astype(np.uint8), kind=Y[:5], who=np.arange(5))
    options = {"inputs": "images", "label": "kind", "id": "who", "shape": [1, 1, 3], "classes": 9}
    found = _single(str(tmp_path / "a.npz"), test=str(tmp_path / "b.npz"), **options)
    assert (len(found.train), len(found.test), found.classes, found.input_shape) == (20, 5, 9, (1, 1, 3))
    assert found.train.ids.tolist() == (Y.cumsum() * 3 + np.arange(20)).tolist()
    assert found.train.take(torch.tensor([0]))[0].dtype == torch.uint8


def test_a_file_that_keeps_its_test_rows_apart(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x_train=X, y_train=Y, x_test=X[:6], y_test=Y[:6] + 1)
    found = _single(str(tmp_path / "data.npz"))
    assert (len(found.train), len(found.test), found.classes) == (20, 6, 5)


def test_words_as_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=X, y=np.array(["b", "a"] * 10))
    assert _single(str(tmp_path / "data.npz")).train.targets.tolist()[:2] == [1, 0]


def test_a_folder_reads_a_file_when_it_is_used(tmp_path: Path) -> None:
    for i in range(3):
        np.savez(tmp_path / f"{i}.npz", x=X + i, y=Y % (i + 2))
    (tmp_path / "readme.txt").write_text("not data")
    found = load(str(tmp_path), classes=4)
    assert isinstance(found, ExperienceDataset)
    assert (len(found), found.classes, found.input_shape) == (3, 4, (3,))
    (tmp_path / "2.npz").unlink()
    assert float(found.train(1).take(torch.tensor([0]))[0].min()) >= 1
    assert found.classes_of(1) == (0, 1, 2)
    with pytest.raises(DataError, match=r"2.npz: there is no such file"):
        found.train(2)


def test_a_folder_of_test_files_of_the_same_names(tmp_path: Path) -> None:
    for part, rows in (("train", 20), ("test", 7)):
        (tmp_path / part).mkdir()
        for name in ("a", "b"):
            np.savez(tmp_path / part / f"{name}.npz", x=X[:rows], y=Y[:rows] % (2 if part == "train" else 4))
    found = load(str(tmp_path / "train"), test=str(tmp_path / "test"))
    assert isinstance(found, ExperienceDataset)
    assert (len(found.train(1)), len(found.test(1)), found.classes) == (20, 7, 4)
    assert found.classes_of(0) == (0, 1, 2, 3)
    (tmp_path / "test" / "b.npz").unlink()
    with pytest.raises(DataError, match=r"has no test file for b.npz"):
        load(str(tmp_path / "train"), test=str(tmp_path / "test"))


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"x": X}, {}, "data.npz: has no array 'y'; it has x"),
        ({"x": X, "y": Y[:3]}, {}, "data.npz: 20 inputs, but 3 labels"),
        ({"x": X, "y": Y + 1}, {"classes": 4}, "data.npz: label 4 in row 3 does not fit"),
        ({"x": X, "y": Y}, {"shape": [2, 2]}, r"data.npz: an input of shape \(3,\) cannot become \(2, 2\)"),
        ({"x": X * np.nan, "y": Y}, {}, "data.npz: the input in row 0 has values that are NaN"),
        ({"x": X.astype(object), "y": Y}, {}, r"'x' holds Python objects, .* plain numbers: x.astype\(int64\)"),
        ({"x": X, "y": np.array(["a", None] * 10)}, {}, r"'y' holds Python objects, .* or numbers: y.astype\(str\)"),
        ({"x": X[:1], "y": Y[:1]}, {}, "data.npz: has no test samples, with 1 rows. Add rows, or give test files"),
        ({"x": X, "labels": Y}, {}, "did you mean 'labels'. Name the array in dataset.label"),
        ({"x": X.astype(str), "y": Y}, {}, "data.npz: inputs must be numbers"),
        ({"x": X, "y": Y, "who": Y}, {"id": "who"}, "data.npz: id 0 occurs more than once"),
        ({"x": X, "y": Y}, {"test": "nowhere.npz"}, "nowhere.npz: there is no such file"),
    ],
)
def test_files_that_do_not_fit_are_named(
    arrays: dict[str, Any], options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(DataError, match=message):
        load(str(tmp_path / "data.npz"), **options)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04" + bytes(50)])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"data.npz: not a readable npz file"):
        load(str(tmp_path / "data.npz"))


def test_a_truncated_and_a_corrupt_file_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=X, y=Y)
    whole = (tmp_path / "data.npz").read_bytes()
    for broken in (whole[:-100], whole[:200] + b"?" + whole[201:]):
        (tmp_path / "data.npz").write_bytes(broken)
        with pytest.raises(DataError, match=r"data.npz: not a readable npz file"):
            load(str(tmp_path / "data.npz"))


def test_an_array_that_unpacks_to_more_than_the_memory_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "data.npz", x=np.zeros((20, 50_000)), y=Y)
    monkeypatch.setattr("pipelines.data.datasets.npz_reader.memory", lambda: 1 << 20)
    with pytest.raises(DataError, match=r"data.npz: 'x' would unpack to 7 MiB, more than this machine's memory"):
        load(str(tmp_path / "data.npz"))


def test_shapes_must_agree_over_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    np.savez(tmp_path / "b.npz", x=X[:, :2], y=Y)
    found = load(str(tmp_path))
    assert isinstance(found, ExperienceDataset)
    with pytest.raises(DataError, match=r"b.npz: its inputs are \(2,\) .* but those of a.npz are \(3,\)"):
        found.train(1)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: there is no such file or folder"):
        load(str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"the folder has no .npz files"):
        load(str(tmp_path))


@given(
    inputs=arrays.arrays(st.sampled_from(["<f4", ">f8", "u1", "<i8", "?"]), arrays.array_shapes(max_dims=3)),
    order=st.sampled_from("CF"),
    packed=st.booleans(),
)
def test_an_array_is_read_as_numpy_reads_it(inputs: NDArray[Any], order: Any, packed: bool) -> None:
    file = io.BytesIO()
    save = np.savez_compressed if packed else np.savez
    save(file, x=np.asarray(inputs, order=order), y=np.zeros(len(inputs)))
    found, _ = NpzReader("x", "y", None).read(FileBytes("x.npz", file.getvalue()))
    assert found.inputs.dtype == inputs.dtype
    np.testing.assert_array_equal(found.inputs, inputs)


@given(st.data())
def test_a_changed_byte_of_an_array_is_found(data: st.DataObject) -> None:
    file = io.BytesIO()
    # More than zipfile reads, and checks, for the array's header.
    np.savez(file, x=np.tile(X, (100, 1)), y=np.tile(Y, 100))
    content = bytearray(file.getvalue())
    with zipfile.ZipFile(file) as archive:
        begin = archive.getinfo("x.npy").header_offset
        end = archive.getinfo("y.npy").header_offset
    place = data.draw(st.integers(begin + 100, end - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DataError, match=r"x\.npz: "):
        NpzReader("x", "y", None).read(FileBytes("x.npz", bytes(content)))

import gzip
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from pipelines.config.pipeline_errors import DataError
from pipelines.data.detect_dataset import detect_dataset


def save(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".npz":
        np.savez(file, x=np.zeros((8, 2)), y=np.arange(8) % 2)
    elif file.name.endswith((".csv", ".tsv", ".csv.gz")):
        text = "a,label\n" + "0.5,0\n0.5,1\n" * 4
        text = text.replace(",", "\t") if file.suffix == ".tsv" else text
        file.write_bytes(gzip.compress(text.encode()) if file.suffix == ".gz" else text.encode())
    elif file.suffix == ".jsonl":
        file.write_text('{"a": 0.5, "label": 0}\n{"a": 0.5, "label": 1}\n' * 4)
    else:
        parquet.write_table(pa.table({"a": [0.5] * 8, "label": [0, 1] * 4}), file)


@pytest.mark.parametrize(
    ("files", "path", "options"),
    [
        (["a.npz"], "a.npz", {"path": "a.npz"}),
        (["a.parquet"], "a.parquet", {"path": "a.parquet"}),
        (["a.csv"], "a.csv", {"path": "a.csv"}),
        (["d/1.csv.gz", "d/2.csv.gz"], "d", {"path": "d"}),
        (["a.tsv"], "a.tsv", {"path": "a.tsv"}),
        (["d/train.jsonl", "d/test.jsonl"], "d", {"path": "d/train.jsonl", "test": "d/test.jsonl"}),
        (["d/1.parquet", "d/2.parquet"], "d", {"path": "d"}),
        (["d/1.npz", "d/2.npz"], "d/", {"path": "d"}),
        (["d/only.npz"], "d", {"path": "d/only.npz"}),
        (["d/train.npz", "d/test.npz"], "d", {"path": "d/train.npz", "test": "d/test.npz"}),
        (["d/train/1.npz", "d/train/2.npz", "d/test/1.npz"], "d", {"path": "d/train", "test": "d/test"}),
        (["d/train/1.npz", "d/train/2.npz"], "d", {"path": "d/train"}),
    ],
)
def test_files_and_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], path: str, options: dict[str, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in files:
        save(tmp_path / name)
    found = detect_dataset(path)
    kind = Path(files[0]).name.split(".")[1]
    assert found.name == ("csv" if kind == "tsv" else kind) and found.options == options


def test_the_folder_of_mnist(mnist_folder: Path) -> None:
    found = detect_dataset(str(mnist_folder))
    assert (found.name, found.options) == ("mnist", {"folder": str(mnist_folder)})


def test_other_idx_files_are_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(struct.pack(">BBBBIII", 0, 0, 8, 3, 1, 2, 2) + b"\1\2\3\4")
    with pytest.raises(DataError, match=r"not all four of the original MNIST or Fashion-MNIST.*numpy.savez"):
        detect_dataset(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("t.xlsx", r"no dataset reads \.xlsx files.*pandas\.read_excel\(FILE\)\.to_parquet"),
        ("t.json", r"pandas\.read_json\(FILE\)"),
        (
            "t.bin",
            r"reads \.bin files\. Supported: \.csv or .* or \.npz or \.parquet files, .* with the IDX files of",
        ),
        ("folder/t.feather", r"no data that a dataset reads \(it has \.feather files\).*pandas\.read_feather"),
        ("folder/", r"it has no files"),
    ],
)
def test_data_of_other_kinds_is_refused_with_what_is_supported(tmp_path: Path, name: str, words: str) -> None:
    file = tmp_path / name
    (file if name.endswith("/") else file.parent).mkdir(exist_ok=True)
    if not name.endswith("/"):
        file.write_text("a,b\n")
    with pytest.raises(DataError, match=words):
        detect_dataset(str(tmp_path / name.split("/")[0]))
    with pytest.raises(DataError, match="there is no such file or folder"):
        detect_dataset(str(tmp_path / "nowhere"))


def test_the_format_of_a_plug_in_is_detected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "points_dataset.py").write_text(
        "from pipelines.data.datasets.init_formats import FileFormat\n"
        "INIT_FORMAT = FileFormat(('.points',), lambda files, label: ({'label': label or 'colour'}, ['Points']))\n"
        "def load(path, label='colour'):\n"
        "    raise AssertionError('to detect a format calls no loader')\n"
    )
    package = tmp_path / "points-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: points\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[everlearn.datasets]\npoints = points_dataset:load\n")
    (tmp_path / "a.points").touch()
    monkeypatch.syspath_prepend(tmp_path)
    found = detect_dataset(str(tmp_path / "a.points"))
    assert (found.name, found.options["label"], found.notes) == ("points", "colour", ["Points"])
    with pytest.raises(DataError, match=r"\.npz or \.parquet or \.points files"):
        detect_dataset(__file__)

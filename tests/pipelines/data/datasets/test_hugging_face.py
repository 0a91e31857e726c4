"""Folders as `save_to_disk` writes them: the layout of datasets 5.2, written here with pyarrow.

Covers: `pipelines/data/datasets/saved_tables.py`
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.dataset import Dataset, ExperienceDataset, adopt
from pipelines.data.datasets.hugging_face import load
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.saved_tables import read_saved
from pipelines.data.detect_dataset import detect_dataset
from pipelines.data.features.feature_columns import FeatureOptions
from pipelines.data.streams import build_stream
from tests.pipelines.data.images.conftest import cache  # noqa: F401 (a fixture)
from tests.pipelines.data.images.drawn_images import COLOURS, draw

LABELS = {"names": ["emu", "cat", "dog"], "_type": "ClassLabel"}


def save(folder: Path, columns: dict[str, Any], features: dict[str, Any], shards: int = 2, **state: Any) -> Path:
    """A saved Dataset, in the given number of files."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    names = [f"data-{number:05}-of-{shards:05}.arrow" for number in range(shards)]
    each = -(-len(table) // shards)
    for number, name in enumerate(names):
        with pa.OSFile(str(folder / name), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table.slice(number * each, each), max_chunksize=3)
    (folder / "dataset_info.json").write_text(json.dumps({"citation": "", "features": features, "license": ""}))
    document = {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": "75d7a54c7c5e1d0d", "_format_columns": None, "_format_kwargs": {}, "_format_type": None,
        "_output_all_columns": False, "_split": None, **state,
    }  # fmt: skip
    (folder / "state.json").write_text(json.dumps(document))
    return folder


def numbers(folder: Path, rows: int = 12, first: int = 0) -> Path:
    columns = {
        "x": pa.array([[float(row + first), row / 2] for row in range(rows)], pa.list_(pa.float32())),
        "label": pa.array([row % 3 for row in range(rows)]),
        "month": [f"2026-{row % 2 + 9}" for row in range(rows)],
    }
    value = {"dtype": "string", "_type": "Value"}
    return save(folder, columns, {"x": {"_type": "List"}, "label": LABELS, "month": value})


def splits(folder: Path, **parts: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(parts)}))
    for name, rows in parts.items():
        numbers(folder / name, rows, first=100 if name == "test" else 0)
    return folder


def whole(path: Path, **options: Any) -> Dataset:
    found = adopt("hugging-face", load(str(path), **options))
    assert isinstance(found, Dataset)
    return found


def test_numbers_and_the_names_of_classes_in_their_order(tmp_path: Path) -> None:
    found = whole(numbers(tmp_path / "a"), inputs="x")
    assert found.class_names == ("emu", "cat", "dog") and found.input_shape == (2,)
    assert (len(found.train), len(found.test)) == (9, 3)
    inputs, targets = found.train.take(torch.arange(9))
    assert inputs.dtype == torch.float32 and torch.equal(inputs[:, 0].long() % 3, targets)
    months = load(str(tmp_path / "a"), inputs="x", by="month")
    assert isinstance(months, ExperienceDataset) and len(months) == 2 and len(months.train(0)) == 3


def test_a_dataset_dict_brings_its_test_rows(tmp_path: Path) -> None:
    folder = splits(tmp_path / "a", train=12, test=6, extra=3)
    found = whole(folder, inputs="x")
    assert (len(found.train), len(found.test)) == (12, 6)
    assert found.test.take(torch.arange(6))[0][:, 0].min() == 100
    assert len(whole(folder, inputs="x", test="extra").test) == 3
    assert len(whole(folder, inputs="x", split="test").test) == 3  # held out of it
    assert len(whole(folder / "train", inputs="x", test=str(folder / "test")).test) == 6
    with pytest.raises(DataError, match=r"has no split 'trian'; .* did you mean 'train'\? Set dataset\.split"):
        load(str(folder), inputs="x", split="trian")
    with pytest.raises(DataError, match=r"has no split 'valid'; it has train, test, extra: set dataset\.test"):
        load(str(folder), inputs="x", test="valid")


def test_several_are_experiences(tmp_path: Path) -> None:
    for number in (10, 9):
        splits(tmp_path / f"day{number}", train=number, test=3)
    found = load(str(tmp_path), inputs="x")
    assert isinstance(found, ExperienceDataset)
    assert [len(found.train(index)) for index in range(2)] == [9, 10] and len(found.test(1)) == 3
    numbers(tmp_path / "day11")
    with pytest.raises(DataError, match=r"day11: has no test rows, which others have"):
        load(str(tmp_path), inputs="x")


def test_images_are_found_by_their_type(tmp_path: Path) -> None:
    rows = []
    for label, name in enumerate(LABELS["names"]):
        for number in range(2):
            data = draw(tmp_path / f"{name}{number}.png", COLOURS[name]).read_bytes()
            rows.append(({"bytes": data, "path": None}, label))
    columns = {"photo": [image for image, _ in rows], "label": [label for _, label in rows]}
    folder = save(tmp_path / "a", columns, {"photo": {"_type": "Image"}, "label": LABELS})
    found = whole(folder, size=4)
    assert found.input_shape == (3, 4, 4) and found.images is not None and found.images.column == "photo"
    inputs, targets = found.train.take(torch.arange(3))
    brightest = {"cat": 0, "dog": 1, "emu": 2}
    assert [brightest[LABELS["names"][t]] for t in targets] == inputs[:, :, 0, 0].argmax(1).tolist()
    detected = detect_dataset(str(folder))
    assert detected.name == "hugging-face" and detected.options["size"] == 32


def test_texts_become_tokens(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"?": 0, "good": 1, "bad": 2}, unk_token="?"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(tmp_path / "tokenizer.json"))
    columns = {"text": ["good", "bad bad"] * 3, "label": [0, 1] * 3}
    folder = save(tmp_path / "a", columns, {"text": {"_type": "Value"}, "label": LABELS})
    found = whole(folder, text="text", tokenizer=str(tmp_path), max_length=2)
    inputs, targets = found.train.take(torch.arange(len(found.train)))
    pairs = {(tuple(row), int(t)) for row, t in zip(inputs.tolist(), targets, strict=True)}
    assert pairs == {((1, -1), 0), ((2, 2), 1)}
    with pytest.raises(DataError, match="needs a tokenizer"):
        load(str(folder), text="text")


def test_features_of_a_table(tmp_path: Path) -> None:
    columns = {"amount": [1.0, None] * 6, "shop": ["a", "b", None] * 4, "label": [0, 1] * 6}
    folder = save(tmp_path / "a", columns, {"label": LABELS, "amount": {}, "shop": {}})

    class Named:
        name, options = "hugging-face", {"path": str(folder), "features": "auto"}

    class Settings:
        dataset, setting, experiences, order, transform, blurry = Named(), "class-incremental", 1, "natural", None, 0

    found = build_stream(Settings(), 0)  # type: ignore[arg-type]
    assert found.preprocessing is not None
    assert found.preprocessing.kinds == {"amount": "numeric", "shop": "categorical"}
    assert isinstance(load(str(folder), features=FeatureOptions(ignore=["shop"])), Dataset)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("label", r"/a: has no column 'lable'.*did you mean 'label'"),
        ("cut", r"data-00001-of-00002\.arrow: not a readable Arrow stream: .*Save the data set again"),
        ("missing", r"data-00001-of-00002\.arrow: there is no such file"),
        ("json", r"state\.json: is no JSON: .*Save the data set again"),
        ("indices", r"rows are selected by indices: save it again after flatten_indices\(\)"),
        ("unlabelled", r"column 'label' has the class -1 \(-1: it has no label\) in row 4, but has 3 classes"),
        ("info", r"dataset_info\.json: describes no features"),
        ("other", r"has no data set that save_to_disk has written .*use the dataset `parquet`"),
        ("file", r"state\.json: is a file: name the folder"),
    ],
)
def test_damage_is_named(tmp_path: Path, what: str, words: str) -> None:
    folder = numbers(tmp_path / "a")
    options: dict[str, Any] = {"inputs": "x"}
    path, last = str(folder), folder / "data-00001-of-00002.arrow"
    if what == "label":
        options["label"] = "lable"
    elif what == "cut":
        last.write_bytes(last.read_bytes()[:100])
    elif what == "missing":
        last.unlink()
    elif what == "json":
        (folder / "state.json").write_text("{")
    elif what == "indices":
        state = json.loads((folder / "state.json").read_text())
        (folder / "state.json").write_text(json.dumps({**state, "_indices_data_files": [{"filename": "i.arrow"}]}))
    elif what == "unlabelled":
        save(folder, {"x": [1.0] * 6, "label": [0, 1, 2, 0, -1, -1]}, {"x": {}, "label": LABELS})
    elif what == "info":
        (folder / "dataset_info.json").write_text("{}")
    elif what == "other":
        path = str(tmp_path / "b")
        (tmp_path / "b").mkdir()
    else:
        path = str(folder / "state.json")
    with pytest.raises(DataError, match=words):
        load(path, **options)


def test_only_what_is_needed_is_read(tmp_path: Path) -> None:
    folder = Location.of(str(numbers(tmp_path / "a")))
    assert read_saved(folder, only=["label", "no"]).column_names == ["label"]

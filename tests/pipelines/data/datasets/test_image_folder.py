"""Image files as a dataset: folders of classes, of experiences, and tables of paths.

Covers: `pipelines/data/datasets/table_rows.py`
"""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import fs, parquet

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.dataset import Dataset, ExperienceDataset, adopt
from pipelines.data.datasets.image_folder import blocks, load
from pipelines.data.detect_dataset import detect_dataset
from pipelines.data.samples import StoredSamples
from pipelines.starter_file import starter_file
from tests.pipelines.data.datasets.test_parquet import bucket  # noqa: F401 (a fixture)
from tests.pipelines.data.images.conftest import cache  # noqa: F401 (a fixture)
from tests.pipelines.data.images.drawn_images import COLOURS, class_folders, draw


def whole(path: Path, **options: Any) -> Dataset:
    found = adopt("image-folder", load(str(path), **options))
    assert isinstance(found, Dataset)
    return found


def parts(path: Path, **options: Any) -> ExperienceDataset:
    found = adopt("image-folder", load(str(path), **options))
    assert isinstance(found, ExperienceDataset)
    return found


def colours(samples: StoredSamples, names: tuple[str, ...] | None) -> set[tuple[str, int]]:
    """(class, its brightest channel) of all samples."""
    inputs, targets = samples.take(torch.arange(len(samples)))
    assert names is not None
    return {(names[int(t)], int(image[:, 0, 0].argmax())) for image, t in zip(inputs, targets, strict=True)}


EXPECTED = {(name, int(np.argmax(colour))) for name, colour in COLOURS.items()}


def test_folders_are_classes_and_images_keep_their_colours(tmp_path: Path) -> None:
    folder = class_folders(tmp_path)
    found = whole(folder, size=[4, 6])
    assert found.class_names == ("cat", "dog", "emu") and found.input_shape == (3, 4, 6)
    assert (len(found.train), len(found.test)) == (12, 3)
    assert colours(found.train, found.class_names) == colours(found.test, found.class_names) == EXPECTED
    again = pickle.loads(pickle.dumps(found.train))
    assert torch.equal(again.take(torch.arange(12))[0], whole(folder).train.take(torch.arange(12))[0])  # from the cache
    listed = whole(folder, classes=["emu", "dog", "cat", "fox"])
    assert listed.class_names == ("emu", "dog", "cat", "fox")
    assert colours(listed.train, listed.class_names) == EXPECTED


def test_numbers_as_names_are_in_their_order(tmp_path: Path) -> None:
    for number in (10, 9, 2):
        for copy in range(2):
            draw(tmp_path / f"{number}/{copy}.png", number)
    found = whole(tmp_path)
    assert found.class_names == ("2", "9", "10") and found.input_shape == (1, 4, 6)
    assert {int(x.max()): int(y) for x, y in zip(*found.train.take(torch.arange(3)), strict=True)} == {
        2: 0,
        9: 1,
        10: 2,
    }


def test_an_image_keeps_its_id_and_its_side_when_others_are_added(tmp_path: Path) -> None:
    folder = class_folders(tmp_path, count=12)
    before = whole(folder, test=_hash(0.3))
    draw(folder / "ant" / "1.png")
    draw(folder / "cat" / "00.png")
    after = whole(folder, test=_hash(0.3))
    for old, new in ((before.train, after.train), (before.test, after.test)):
        assert set(old.ids.tolist()) <= set(new.ids.tolist()) and len(old) > 5
    assert len(after.train) + len(after.test) == 38


def _hash(share: float) -> Any:
    from pipelines.data.datasets.held_out_part import TestPart

    return TestPart(id_hash=share)


def test_test_images_in_a_folder_of_their_own(tmp_path: Path) -> None:
    class_folders(tmp_path / "train")
    class_folders(tmp_path / "test", count=2)
    found = whole(tmp_path / "train", test=str(tmp_path / "test"))
    assert (len(found.train), len(found.test)) == (15, 6)
    draw(tmp_path / "test" / "fox" / "1.png")
    with pytest.raises(DataError, match=r"/test: label 'fox' in row 6 does not fit: the 3 classes are cat, dog, emu"):
        whole(tmp_path / "train", test=str(tmp_path / "test"))
    with pytest.raises(DataError, match=r"name a folder in dataset\.test"):
        whole(tmp_path / "train", test=str(tmp_path / "test/fox/1.png"))
    draw(tmp_path / "test" / "fox" / "1.png")
    shutil.rmtree(tmp_path / "test" / "fox")
    shutil.rmtree(tmp_path / "test" / "emu")
    draw(tmp_path / "test" / "cat" / "0.png", 7)
    with pytest.raises(DataError, match=r"test/cat/1\.png: is rgb, but .*test/cat/0\.png is grey"):
        whole(tmp_path / "train", test=str(tmp_path / "test"))


def test_a_folder_for_each_experience(tmp_path: Path) -> None:
    class_folders(tmp_path / "day2", classes=("cat", "dog"))
    class_folders(tmp_path / "day10", classes=("dog", "emu"))
    found = parts(tmp_path, by="folder")
    assert len(found) == 2 and found.class_names == ("cat", "dog", "emu") and found.classes_of(1) == (1, 2)
    assert str(found.source(0)).endswith("day2")
    assert colours(found.train(1), found.class_names) == {pair for pair in EXPECTED if pair[0] != "cat"}
    # The same file name in two experiences is two images.
    assert not set(found.train(0).ids.tolist()) & set(found.train(1).ids.tolist())
    assert len(pickle.loads(pickle.dumps(found)).test(0)) == 2
    class_folders(tmp_path / "tests/day2", count=1, classes=("cat", "dog"))
    shutil.move(tmp_path / "tests", tmp_path.parent / "tests")
    with pytest.raises(DataError, match="tests: has no folder of the experience day10"):
        parts(tmp_path, by="folder", test=str(tmp_path.parent / "tests"))
    class_folders(tmp_path.parent / "tests/day10", count=1, classes=("dog", "emu"))
    tested = parts(tmp_path, by="folder", test=str(tmp_path.parent / "tests"))
    assert (len(tested.train(0)), len(tested.test(1))) == (10, 2)
    shutil.rmtree(tmp_path.parent / "tests")
    draw(tmp_path / "day10/emu/9.png", 7)
    with pytest.raises(DataError, match=r"day10/emu/9\.png: is grey, but .*day10/dog/0\.png is rgb"):
        parts(tmp_path, by="folder").train(1)


def write(file: Path, rows: list[dict[str, Any]]) -> Path:
    if file.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), file)
    elif file.suffix == ".csv":
        names = list(rows[0])
        lines = [",".join(names), *(",".join(str(row[name]) for name in names) for row in rows)]
        file.write_text("\n".join(lines) + "\n")
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_a_table_of_paths(tmp_path: Path, name: str) -> None:
    class_folders(tmp_path / "images")
    rows = [
        {"path": f"images/{label}/{number}.png", "label": label, "site": number % 2}
        for label in COLOURS
        for number in range(5)
    ]
    table = write(tmp_path / name, rows)
    found = whole(table)
    assert found.class_names == ("cat", "dog", "emu") and len(found.train) == 12
    assert colours(found.train, found.class_names) == EXPECTED
    assert set(found.train.ids.tolist()).isdisjoint(found.test.ids.tolist()) and found.train.ids.abs().min() > 1000
    sites = parts(table, by="site")
    assert len(sites) == 2 and len(sites.train(0)) + len(sites.test(0)) == 9
    write(tmp_path / name, [*rows, {"path": "images/fox.png", "label": "fox", "site": 0}])
    with pytest.raises(DataError, match=rf"{name}: column 'path', row 15: images/fox\.png: there is no such file"):
        whole(table)
    write(tmp_path / name, [*rows, rows[3]])
    with pytest.raises(DataError, match=rf"{name}: id 'images/cat/3\.png' occurs more than once: in rows 3 and 15"):
        whole(table)
    with pytest.raises(DataError, match=rf"{name}: has no column 'file'; it has path, label, site: .*dataset\.image"):
        whole(table, image="file")


def test_a_folder_of_tables_has_an_experience_in_each(tmp_path: Path) -> None:
    class_folders(tmp_path / "images")
    for number in (0, 1):
        (tmp_path / "tables").mkdir(exist_ok=True)
        rows = [
            {"path": f"../images/{label}/{k}.png", "label": label} for label in COLOURS for k in (number, number + 2)
        ]
        write(tmp_path / f"tables/{number}.csv", rows)
    found = parts(tmp_path / "tables")
    assert len(found) == 2 and found.class_names == ("cat", "dog", "emu") and len(found.train(0)) == 3


def test_images_in_the_table_itself_and_numbers_as_targets(tmp_path: Path) -> None:
    class_folders(tmp_path / "i", count=3, classes=("cat",))
    rows = [
        {"image": {"bytes": (tmp_path / f"i/cat/{k}.png").read_bytes(), "path": None}, "age": k / 2} for k in range(3)
    ]
    table = write(tmp_path / "t.parquet", rows)
    found = adopt("own", load(str(table), image="image", label="age", target_kind="numbers"), "numbers")
    assert isinstance(found, Dataset)
    assert found.train.targets.dtype == torch.float64 and found.input_shape == (3, 4, 6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"by": "site"}, r"a folder is divided by its folders: set dataset\.by: folder, not 'site'"),
        ({"target_kind": "numbers"}, r"folders are classes, .*name a table in dataset\.path"),
        ({"by": "folder"}, r"/cat: the folder has no folders of classes"),
        ({"classes": ["cat", "dog"]}, r"label 'emu' in row 10 does not fit: the 2 classes are cat, dog"),
    ],
)
def test_options_that_do_not_fit(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        load(str(class_folders(tmp_path)), **options)
    with pytest.raises(DataError, match=r"README\.md: must be a folder of images, or a table of paths: \.csv"):
        (tmp_path / "README.md").write_text("about")
        load(str(tmp_path / "README.md"))


@pytest.mark.parametrize("lanes", [False, True])
def test_a_folder_without_folders_of_experiences_is_refused(lanes: bool, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no folder of an experience \(dataset\.by: folder\)"):
        if lanes:
            blocks(None, str(tmp_path), None, 0.2, None, "rgb", "stretch", "folder", None, "image", "label", None, None)
        else:
            load(str(tmp_path), by="folder")


def test_init_recognises_it(tmp_path: Path) -> None:
    class_folders(tmp_path / "a/train", count=10)
    class_folders(tmp_path / "a/test", count=2)
    found = detect_dataset(str(tmp_path / "a"))
    assert found.name == "image-folder" and found.notes[0] == "30 images in folders of 3 classes: cat, dog, emu"
    path = str(tmp_path / "a")
    assert found.options == {"path": f"{path}/train", "test": f"{path}/test", "size": 32, "channels": "rgb"}
    assert detect_dataset(f"{path}/train").options["path"] == f"{path}/train"
    assert "model: {name: cnn}" in starter_file(path).text


def test_images_in_s3(bucket: tuple[str, fs.S3FileSystem], tmp_path: Path, cache: Path) -> None:  # noqa: F811
    address, system = bucket
    class_folders(tmp_path, count=2, classes=("cat", "dog"))
    for file in tmp_path.rglob("*.png"):
        with system.open_output_stream(f"data/photos/{file.relative_to(tmp_path)}") as target:
            target.write(file.read_bytes())
    found = adopt("image-folder", load(f"{address}/photos"))
    assert isinstance(found, Dataset) and found.class_names == ("cat", "dog")
    here = whole(tmp_path)
    assert torch.equal(found.train.ids, here.train.ids) and torch.equal(found.test.ids, here.test.ids)
    with system.open_output_stream("data/photos/cat/1.png") as target:
        target.write(b"broken")
    with pytest.raises(DataError, match=r"^s3://data/photos/cat/1\.png: is no PNG or JPEG image"):
        load(f"{address}/photos")

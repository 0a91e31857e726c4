"""Which files of a folder are images of which class; what is wrong is named.

Covers: `pipelines/data/images/image_sources.py`
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.location import Location
from pipelines.data.images.class_folders import class_images, folder_images, union
from pipelines.data.images.image_sources import column_sources
from tests.pipelines.data.images.drawn_images import draw


def at(path: Path) -> Location:
    return Location.of(str(path))


def test_classes_and_images_come_in_natural_order(tmp_path: Path) -> None:
    for name in ("10/1.png", "2/b/10.JPG", "2/b/9.jpeg", "2/.hidden.png", "2/Thumbs.db", "_x/1.png"):
        draw(tmp_path / (name if name[-2:] != "db" else "2/x.png"))
    (tmp_path / "2/x.png").rename(tmp_path / "2/Thumbs.db")
    (tmp_path / "README.md").write_text("about")
    found = class_images(at(tmp_path))
    assert [(image.label, image.path) for image in found] == [
        ("2", "2/b/9.jpeg"), ("2", "2/b/10.JPG"), ("10", "10/1.png")
    ]  # fmt: skip
    assert [path for path, _ in folder_images(at(tmp_path))] == ["2/b/9.jpeg", "2/b/10.JPG", "10/1.png"]
    assert union([at(tmp_path)]) == ["2", "10"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], r"the folder has no folders of classes\. Put the images of each class into a folder"),
        (["1.png"], "the folder has no folders of classes"),
        (["cat/1.png", "2.png"], r"/2\.png: lies beside the folders of the classes: put it into one"),
        (["cat/1.png", "cat/notes.txt"], r"/cat/notes\.txt: is no image \(\.png, \.jpg, \.jpeg\): convert it, or move"),
        (["cat/1.png", "cat/2.webp"], r"/cat/2\.webp: is no image"),
        (["cat/1.png", "dog/"], r"/dog: the class has no images: add some, or remove the folder"),
        (
            ["train/cat/1.png", "test/cat/1.png"],
            r"are parts and no classes: .*dataset\.path, and dataset\.test: .*/test",
        ),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(tmp_path: Path, files: list[str], words: str) -> None:
    for name in files:
        if name.endswith("/"):
            (tmp_path / name).mkdir(parents=True)
        elif name.endswith(".png"):
            draw(tmp_path / name)
        else:
            (tmp_path / name).write_text("?")
    with pytest.raises(DataError, match=words) as caught:
        class_images(at(tmp_path))
    assert str(tmp_path) in str(caught.value)
    if not any(name.endswith(".png") for name in files):
        with pytest.raises(DataError, match="the folder has no images"):
            folder_images(at(tmp_path))


def test_images_of_a_column(tmp_path: Path) -> None:
    file = draw(tmp_path / "a.png")
    data, folder = file.read_bytes(), at(tmp_path)
    paths = pa.array(["a.png", str(file)])
    assert [source.read() for source in column_sources(paths, "path", "t.csv", folder)] == [data, data]
    structs = pa.array([{"bytes": data, "path": "x.png"}, {"bytes": None, "path": "a.png"}])
    assert [source.read() for source in column_sources(structs, "image", "t", folder)] == [data, data]
    assert next(column_sources(pa.array([data]), "image", "t", folder)).read() == data
    for values, words in (
        (pa.array(["a.png", "b.png"]), r"t\.csv: column 'path', row 8: b\.png: there is no such file\. Paths begin at"),
        (pa.array(["a.png", None]), r"t\.csv: column 'path', row 8: has no image, but None: give a path"),
        (pa.array([7]), r"row 7: has no image, but 7"),
    ):
        with pytest.raises(DataError, match=words):
            list(column_sources(values, "path", "t.csv", folder, first_row=7))

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path

import pytest

from orchestrator.errors import StorageError
from orchestrator.storage.open_by_uri import open_store
from orchestrator.updates.file_verdict import Found
from orchestrator.updates.source_files import FilesAndLabels, FolderFiles, SourceFiles, open_source


def keys(files: SourceFiles) -> list[str]:
    return sorted(found.key for found in files.listing().files)


def found(files: SourceFiles, key: str) -> Found:
    return next(one for one in files.listing().files if one.key == key)


def test_a_folder_is_listed_with_all_below_it(tmp_path: Path) -> None:
    for name in ("a.csv", "day/b.csv", "day/_SUCCESS", "_temporary/c.csv", ".x/d.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    files = open_source(str(tmp_path))
    assert keys(files) == ["a.csv", "day/_SUCCESS", "day/b.csv"]
    assert keys(open_source(str(tmp_path), recursive=False)) == ["a.csv"]
    assert files.listing().now >= found(files, "a.csv").modified
    assert keys(open_source(str(tmp_path / "not there yet"))) == []


def test_a_file_is_read_as_it_was_listed(tmp_path: Path) -> None:
    files = pickle.loads(pickle.dumps(FolderFiles(tmp_path)))
    (tmp_path / "a.csv").write_text("one")
    listed = found(files, "a.csv")
    assert files.read(listed) == files.read_key("a.csv") == b"one"
    (tmp_path / "a.csv").write_text("two")
    os.utime(tmp_path / "a.csv", (1, 1))
    assert (files.read(listed), files.read_key("a.csv")) == (None, b"two")
    (tmp_path / "a.csv").unlink()
    assert files.read(listed) is files.read_key("a.csv") is None


def test_a_path_that_is_no_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("one")
    with pytest.raises(StorageError, match=r"a\.csv: cannot be read: Not a directory.\nCorrect stream\.source\.path"):
        open_source(str(tmp_path / "a.csv")).listing()


@pytest.mark.s3
def test_objects_below_a_prefix(s3_uri: str) -> None:
    store = open_store(f"{s3_uri}/incoming")
    open_store(s3_uri).put("incoming-not/x.csv", b"x")
    for number in range(3):
        store.put(f"day{number}/part.csv", b"one")
    store.put("top.csv", b"one")
    before = time.time()
    files = pickle.loads(pickle.dumps(open_source(f"{s3_uri}/incoming/")))
    assert keys(files) == ["day0/part.csv", "day1/part.csv", "day2/part.csv", "top.csv"]
    assert keys(open_source(f"{s3_uri}/incoming", recursive=False)) == ["top.csv"]
    assert abs(files.listing().now - before) < 60  # the server's clock, to the second
    listed = found(files, "day1/part.csv")
    assert (listed.size, files.read(listed)) == (3, b"one")
    store.put("day1/part.csv", b"two")
    assert (files.read(listed), files.read_key("day1/part.csv")) == (None, b"two")
    store.delete("day1/part.csv")
    assert files.read(listed) is files.read_key("day1/part.csv") is None
    assert keys(open_source(f"{s3_uri}/nothing")) == []


def test_files_of_labels_have_keys_of_their_own(tmp_path: Path) -> None:
    for name in ("in/a.csv", "in/day/b.csv", "out/a.csv", "out/_SUCCESS"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    files = FilesAndLabels(open_source(str(tmp_path / "in")), open_source(str(tmp_path / "out")))
    assert keys(files) == ["_labels/_SUCCESS", "_labels/a.csv", "a.csv", "day/b.csv"]
    assert files.read(found(files, "_labels/a.csv")) == files.read_key("_labels/a.csv") == b"out/a.csv"
    assert files.read(found(files, "a.csv")) == b"in/a.csv"
    # Inputs that are called so are no labels.
    inside = FilesAndLabels(FolderFiles(tmp_path), open_source(str(tmp_path / "none")))
    (tmp_path / "_labels").mkdir()
    (tmp_path / "_labels/a.csv").write_text("input")
    assert "_labels/a.csv" not in keys(inside) and inside.read_key("_labels/a.csv") is None

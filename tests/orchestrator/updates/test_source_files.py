from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from orchestrator.errors import StorageError
from orchestrator.updates.file_verdict import Found
from orchestrator.updates.source_files import FolderFiles, SourceFiles, open_source


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

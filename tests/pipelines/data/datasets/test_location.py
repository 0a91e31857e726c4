"""Paths as people write them (S3 is in test_parquet.py)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.location import Location, natural_order


def test_local_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert Location.of("data/a.npz").path == str(tmp_path / "data/a.npz")
    assert Location.of("~/a.npz").path == "/home/somebody/a.npz"
    assert Location.of("s3://bucket/a/").path == "s3://bucket/a"
    assert Location.of("s3://bucket/a/b.npz").name == "b.npz"


def test_a_folder_lists_its_files_by_name(tmp_path: Path) -> None:
    for name in ("b.npz", "a.npz", ".hidden.npz", "_SUCCESS.npz", "c.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "d.npz").mkdir()
    assert [file.name for file in Location(str(tmp_path)).files(".npz")] == ["a.npz", "b.npz"]
    assert Location(str(tmp_path)).is_folder()
    assert not (Location(str(tmp_path)) / "a.npz").is_folder()


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"), Location(str(tmp_path)).open():
        pass
    with pytest.raises(DataError, match="no such file or folder"), Location(str(tmp_path / "x")).open():
        pass


def test_numbers_in_names_count(tmp_path: Path) -> None:
    names = ["1.npz", "02.npz", "2.npz", "a.npz", "a1.npz", "batch2.npz", "batch2b10.npz", "batch10.npz"]
    for name in reversed(names):
        (tmp_path / name).write_bytes(b"")
    assert [file.name for file in Location(str(tmp_path)).files(".npz")] == names


@given(st.lists(st.text("ab.-_ÄZ", max_size=6), unique=True))
def test_names_without_numbers_keep_the_order_of_text(names: list[str]) -> None:
    assert sorted(names, key=natural_order) == sorted(names)


@given(st.integers(0, 200), st.integers(1, 5))
def test_padded_numbers_keep_the_order_of_text(count: int, width: int) -> None:
    names = [f"week-{number:05}-{number * 7 % 10**width:0{width}}.npz" for number in range(count)]
    assert sorted(names, key=natural_order) == sorted(names)

"""Caches on disk: right bytes or none, whoever else uses one and whatever became of it, and within its limit."""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines.config.pipeline_errors import PipelineError
from pipelines.data import disk_cache
from pipelines.data.disk_cache import DEFAULT_GB, DiskCache, DiskCacheWarning, disk_cache_folder, disk_cache_limit

VARIABLE = "EVERLEARN_SOME_CACHE_GB"
KILOBYTE = 1000


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DiskCache, "_written", {})
    monkeypatch.setattr(disk_cache, "_off", set())


def made(folder: Path, limit: float) -> DiskCache:
    return DiskCache(folder, limit, VARIABLE, "files are read without the cache")


def chunk(number: int) -> bytes:
    return bytes([number]) * KILOBYTE


def taken(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*/*"))


@pytest.mark.parametrize(
    ("said", "bytes_"), [("", DEFAULT_GB * 1e9), ("0", 0.0), ("-3", 0.0), ("0.5", 5e8), ("inf", float("inf"))]
)
def test_the_limit_is_in_gigabytes(said: str, bytes_: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, said)
    assert disk_cache_limit(VARIABLE) == bytes_


@pytest.mark.parametrize("said", ["much", "nan"])
def test_a_limit_that_is_no_number_is_named(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, said)
    with pytest.raises(PipelineError, match=f"{VARIABLE}: must be a number of gigabytes, got '{said}'"):
        disk_cache_limit(VARIABLE)


def test_each_cache_has_a_folder_below_that_of_all_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert disk_cache_folder("blocks") == tmp_path / "everlearn" / "blocks"


def test_what_is_damaged_or_left_by_a_crash_is_not_used(tmp_path: Path) -> None:
    cache = made(tmp_path, 1e6)
    cache.put("a", chunk(1))
    assert cache.get("a") == chunk(1) and cache.get("b") is None
    (file,) = tmp_path.glob("*/*")
    for damaged in (chunk(1)[:-1], b"", file.read_bytes()[:500] + b"?" + file.read_bytes()[501:]):
        file.write_bytes(damaged)
        assert cache.get("a") is None and not file.exists()
    left = file.with_name(".x.partial")
    left.write_bytes(b"half")
    os.utime(left, (1, 1))
    DiskCache._written.clear()
    cache.put("a", chunk(2))
    assert cache.get("a") == chunk(2) and not left.exists()


def test_what_was_used_longest_ago_makes_room(tmp_path: Path) -> None:
    cache = made(tmp_path, 20 * KILOBYTE)
    for number in range(10):
        cache.put(str(number), chunk(number))
        os.utime(cache._file(str(number)), (number, number))
    assert cache.get("0") == chunk(0)  # used just now
    for number in range(10, 30):
        cache.put(str(number), chunk(number))
        os.utime(cache._file(str(number)), (number, number))
        assert taken(tmp_path) <= 20 * KILOBYTE
    assert cache.get("0") == chunk(0) and cache.get("1") is None and cache.get("29") == chunk(29)
    cache.put("large", bytes(21 * KILOBYTE))
    assert cache.get("large") is None


def test_several_use_it_at_once(tmp_path: Path) -> None:
    def use(number: int) -> bool:
        cache, key = made(tmp_path, 12 * KILOBYTE), number % 25
        cache.put(str(key), chunk(key))
        return cache.get(str(key)) in (None, chunk(key))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, range(400)))
    assert taken(tmp_path) <= 24 * KILOBYTE


def test_a_cache_that_cannot_be_written_is_left_with_one_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.warns(DiskCacheWarning, match=f"read without the cache. Make room, or set {VARIABLE}=0"):
        made(tmp_path / "file", 1e6).put("a", chunk(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made(tmp_path / "file", 1e6).put("a", chunk(1))
    assert made(tmp_path / "file", 1e6).get("a") is None


def test_a_disk_that_is_nearly_full_is_not_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_cache, "_FREE_SHARE", 1.0)
    with pytest.warns(DiskCacheWarning, match="nearly full"):
        made(tmp_path, 1e6).put("a", chunk(1))
    assert taken(tmp_path) == 0

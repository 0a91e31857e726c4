"""What was decoded is found again, unless the images, the options or the file of the cache changed."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from pipelines.config.pipeline_errors import PipelineError
from pipelines.data.datasets.location import Location
from pipelines.data.images import image_cache
from pipelines.data.images.class_folders import class_images
from pipelines.data.images.image_cache import LIMIT, cached_images
from pipelines.data.images.image_options import ImageOptions
from tests.pipelines.data.images.drawn_images import class_folders, draw

OPTIONS = ImageOptions((4, 4), "rgb")


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of images of each call that decodes."""
    counts: list[int] = []
    original = image_cache.decode_images

    def counting(sources: list[object], options: ImageOptions) -> object:
        counts.append(len(sources))
        return original(sources, options)  # type: ignore[arg-type]

    monkeypatch.setattr(image_cache, "decode_images", counting)
    return counts


def read(folder: Path, options: ImageOptions = OPTIONS) -> np.ndarray:
    return np.array(cached_images([image.source for image in class_images(Location.of(str(folder)))], options))


def test_images_are_decoded_once(tmp_path: Path, cache: Path, decoded: list[int]) -> None:
    folder = class_folders(tmp_path / "a")
    first = read(folder)
    np.testing.assert_array_equal(read(folder), first)
    assert decoded == [15] and len(list(cache.iterdir())) == 1
    assert read(folder, ImageOptions((2, 2), "rgb")).shape == (15, 3, 2, 2) and decoded == [15, 15]


def test_an_image_that_changes_is_seen_at_the_same_size_and_time(tmp_path: Path, decoded: list[int]) -> None:
    folder = class_folders(tmp_path / "a")
    before = read(folder)
    file, other = folder / "cat" / "0.png", draw(tmp_path / "other.png", (201, 20, 20))
    state = file.stat()
    assert other.stat().st_size == state.st_size
    shutil.copy(other, file)
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    after = read(folder)
    assert decoded == [15, 15] and after[0, 0, 0, 0] == 201 and before[0, 0, 0, 0] == 200
    draw(folder / "dog" / "9.png")
    assert len(read(folder)) == 16


@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied", "header"])
def test_a_damaged_file_is_made_anew(tmp_path: Path, cache: Path, decoded: list[int], damage: str) -> None:
    folder = class_folders(tmp_path / "a")
    first = read(folder)
    (file,) = cache.iterdir()
    data = bytearray(file.read_bytes())
    data[{"flipped": 200, "header": 3}.get(damage, 0)] ^= 1
    file.write_bytes({"cut": bytes(data[:-40]), "emptied": b""}.get(damage, bytes(data)))
    for _ in range(2):
        np.testing.assert_array_equal(read(folder), first)
    assert decoded == [15, 15]


def test_the_least_recently_used_make_room(
    tmp_path: Path, cache: Path, decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [class_folders(tmp_path / name) for name in "abc"]
    monkeypatch.setenv(LIMIT, "2000e-9")  # two of 720 bytes and their headers
    read(folders[0])
    read(folders[1])
    names = {file: file.stat().st_mtime for file in cache.iterdir()}
    for file in names:
        os.utime(file, (1, 1))
    read(folders[0])  # used last
    read(folders[2])
    assert decoded == [15, 15, 15]
    read(folders[0])
    assert decoded == [15, 15, 15]
    read(folders[1])
    assert decoded == [15, 15, 15, 15]
    assert sum(file.stat().st_size for file in cache.iterdir()) <= 2000


def test_what_does_not_fit_or_is_not_wanted_is_not_kept(
    tmp_path: Path, cache: Path, decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = class_folders(tmp_path / "a")
    for limit in ("0", "500e-9"):
        monkeypatch.setenv(LIMIT, limit)
        assert len(read(folder)) == 15
    assert decoded == [15, 15] and not (cache.exists() and list(cache.iterdir()))
    monkeypatch.setenv(LIMIT, "much")
    with pytest.raises(PipelineError, match=r"EVERLEARN_IMAGE_CACHE_GB: must be a number of gigabytes, got 'much'"):
        read(folder)


def test_a_cache_that_cannot_be_written_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(read(class_folders(tmp_path / "a"))) == 15


def test_what_a_writer_left_behind_goes_after_a_day(tmp_path: Path, cache: Path) -> None:
    cache.mkdir(parents=True)
    old, young = cache / ".x.npy.1.partial", cache / ".x.npy.2.partial"
    for file in (old, young):
        file.write_bytes(b"half")
    os.utime(old, (time.time() - 90_000,) * 2)
    read(class_folders(tmp_path / "a"))
    assert not old.exists() and young.exists()

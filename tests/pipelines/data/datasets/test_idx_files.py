"""Where files are looked for, and what is said when they are not there."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.idx_files import IdxDataset, IdxFile
from tests.pipelines.data.datasets.test_idx_format import idx

NOWHERE = ("http://127.0.0.1:9/",)


@pytest.fixture
def contents() -> dict[str, bytes]:
    rows = np.arange(20, dtype=np.uint8)
    images = rows.reshape(-1, 1, 1) + np.zeros((20, 3, 2), dtype=np.uint8)
    return {
        "train-images": idx(images),
        "train-labels": idx(rows % 10),
        "test-images": idx(images[:10]),
        "test-labels": idx(rows[:10]),
    }


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("EVERLEARN_DATA", raising=False)
    return tmp_path / "cache" / "everlearn" / "little"


@pytest.fixture
def mirror(tmp_path: Path, contents: dict[str, bytes]) -> Iterator[str]:
    _write(tmp_path / "www", contents)
    handler = partial(_Quiet, directory=str(tmp_path / "www"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        pass


def _little(contents: dict[str, bytes], mirrors: tuple[str, ...] = NOWHERE) -> IdxDataset:
    files = [IdxFile(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in contents.items()]
    return IdxDataset("little", ("little", "."), (files[0], files[1], files[2], files[3]), mirrors)


def _write(folder: Path, contents: dict[str, bytes], zipped: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in contents.items():
        (folder / (f"{name}.gz" if zipped else name)).write_bytes(gzip.compress(data) if zipped else data)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("place", [".", "little"])
def test_a_folder_is_found_by_option_and_by_environment(
    tmp_path: Path, contents: dict[str, bytes], zipped: bool, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path / "data" / place, contents, zipped)
    found = _little(contents).load(str(tmp_path / "data"))
    assert (len(found.train), len(found.test), found.classes, found.input_shape) == (20, 10, 10, (1, 3, 2))
    inputs, targets = found.train.take(torch.tensor([13]))
    assert (inputs.dtype, int(inputs[0, 0, 2, 1]), int(targets)) == (torch.uint8, 13, 3)
    monkeypatch.setenv("EVERLEARN_DATA", str(tmp_path / "data"))
    assert len(_little(contents).load(None).train) == 20


def test_padding_is_zeros_around_the_image(contents: dict[str, bytes], tmp_path: Path) -> None:
    _write(tmp_path, contents)
    plain, padded = (_little(contents).load(str(tmp_path), padding) for padding in (0, 2))
    assert padded.input_shape == (1, 7, 6)
    for before, after in ((plain.train, padded.train), (plain.test, padded.test)):
        index = torch.arange(len(before))
        image, wider = before.take(index)[0], after.take(index)[0]
        assert wider.dtype == torch.uint8
        assert torch.equal(wider[:, :, 2:-2, 2:-2], image)
        assert int(wider.long().sum()) == int(image.long().sum())
        assert torch.equal(before.targets, after.targets)


def test_what_is_nowhere_is_downloaded_once(
    contents: dict[str, bytes], mirror: str, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EVERLEARN_DATA", str(tmp_path))
    assert len(_little(contents, (*NOWHERE, mirror)).load(None).train) == 20
    assert sorted(path.name for path in cache.iterdir()) == sorted(f"{name}.gz" for name in contents)
    assert len(_little(contents).load(None).train) == 20


def test_a_mirror_with_other_content_is_not_believed(
    contents: dict[str, bytes], mirror: str, cache: Path, tmp_path: Path
) -> None:
    other = contents["train-labels"][:-1] + b"\x07"
    (tmp_path / "www" / "train-labels.gz").write_bytes(gzip.compress(other))
    with pytest.raises(DataError, match=r"/train-labels.gz: is not the original train-labels: its SHA-256 differs"):
        _little(contents, (mirror,)).load(None)
    assert not (cache / "train-labels.gz").exists()


def test_a_damaged_cache_is_fetched_again(contents: dict[str, bytes], mirror: str, cache: Path) -> None:
    _write(cache, contents)
    (cache / "test-images.gz").write_bytes(b"")
    assert len(_little(contents, (mirror,)).load(None).test) == 10
    assert len(_little(contents).load(None).test) == 10


def test_offline_it_says_which_file_to_put_where(
    contents: dict[str, bytes], cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        _little(contents).load(None)
    text = str(caught.value)
    assert "little: train-images.gz is not on this machine and could not be downloaded (" in text
    assert f"Put the four files into {cache}" in text
    assert "train-images.gz, train-labels.gz, test-images.gz, test-labels.gz" in text
    assert len(caught.value.problems) <= 3
    monkeypatch.setenv("EVERLEARN_DATA", str(tmp_path / "data"))
    with pytest.raises(DataError, match=f"Put the four files into {tmp_path / 'data'}"):
        _little(contents).load(None)


def test_a_named_folder_is_the_only_place(contents: dict[str, bytes], tmp_path: Path, mirror: str) -> None:
    with pytest.raises(DataError, match=r"there is no train-images \(or .gz\) in .*empty"):
        _little(contents, (mirror,)).load(str(tmp_path / "empty"))
    _write(tmp_path / "data", contents)
    (tmp_path / "data" / "test-labels.gz").write_bytes(gzip.compress(bytes(5)))
    with pytest.raises(DataError, match=r"data/\./test-labels.gz: must hold|data/test-labels.gz: must hold"):
        _little(contents, (mirror,)).load(str(tmp_path / "data"))


def test_a_cache_that_cannot_be_written_does_not_matter(contents: dict[str, bytes], mirror: str, cache: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder would be")
    assert len(_little(contents, (mirror,)).load(None).train) == 20

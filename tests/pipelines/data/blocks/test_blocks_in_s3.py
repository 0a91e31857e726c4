"""Blocks in a real S3 server that is away or throttles, and whose files change: the same batches, or a clear error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
import torch

from pipelines.config.pipeline_errors import DataError
from pipelines.data import disk_cache
from pipelines.data.blocks import block_cache, patience
from pipelines.data.blocks.block_cache import LIMIT
from pipelines.data.blocks.block_samples import BlockSamples
from pipelines.data.blocks.read_ahead import THREADS
from pipelines.data.datasets import location
from pipelines.data.datasets.dataset import Dataset
from pipelines.data.datasets.location import Location, states
from pipelines.data.datasets.parquet import blocks
from pipelines.data.disk_cache import DiskCache, DiskCacheWarning
from strategies.loop.order_of_samples import sample_order
from strategies.loop.process_group import Group
from strategies.loop.train_settings import TrainSettings
from tests.pipelines.data.blocks.block_files import rows, write
from tests.s3.proxy import FaultyProxy
from tests.s3.server import S3Server

pytestmark = pytest.mark.s3
GROUPS = (300, 200, 400, 100, 300, 350)
N = sum(GROUPS)
Batches = list[tuple[torch.Tensor, torch.Tensor]]


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(DiskCache, "_written", {})
    monkeypatch.setattr(disk_cache, "_off", set())
    monkeypatch.setattr(patience, "WAITS", (0.05,) * 20)
    monkeypatch.setattr(block_cache, "cache_folder", lambda: tmp_path / "cache")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "a.parquet", *rows(N, 0), GROUPS)


def put(uri: str, file: Path) -> str:
    """The address of a file that was put into a bucket."""
    boto3.client("s3").put_object(Bucket=uri.removeprefix("s3://"), Key=file.name, Body=file.read_bytes())
    return f"{uri}/{file.name}"


class Index:
    """A `pipelines.data.blocks.block_index.IndexStore`."""

    data: bytes | None = None

    def load(self) -> bytes | None:
        return self.data

    def save(self, data: bytes) -> None:
        self.data = data


def samples_of(address: str, index: Index | None = None) -> BlockSamples:
    found = blocks(
        index, address, test=address, test_fraction=0.2, inputs="x", label="label", id=None, classes=3, shape=None,
        channels="first",
    )  # fmt: skip
    assert isinstance(found, Dataset) and isinstance(found.train, BlockSamples)
    return found.train


def batches(samples: BlockSamples) -> Any:
    settings = TrainSettings(batch_size=64, lanes=2, window=1, epochs=2)
    return iter(samples.lane_batches(sample_order(samples, settings, 0, 0), Group()))  # type: ignore[arg-type]


def same(found: Batches, expected: Batches) -> bool:
    return len(found) == len(expected) and all(
        torch.equal(a, b) for pair in zip(found, expected, strict=True) for a, b in zip(*pair, strict=True)
    )


@pytest.mark.parametrize("gigabytes", ["1", "0"])
def test_a_server_that_fails_is_asked_again_and_gives_the_same_batches(
    gigabytes: str, s3_uri: str, s3_server: S3Server, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LIMIT, gigabytes)
    address, asked = put(s3_uri, file), [0]

    def rule(method: str, path: str, headers: dict[str, str]) -> str | None:
        asked[0] += 1
        return {0: "slow down", 1: "refuse", 2: "lose answer"}.get(asked[0] % 15)

    with FaultyProxy(s3_server.port, rule).running() as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        samples = samples_of(address)
        samples.fingerprint(None)
        found = list(batches(samples))
    assert asked[0] > 15
    assert same(found, list(batches(samples_of(str(file)))))


def test_what_the_cache_has_is_not_asked_for_again(
    s3_uri: str, s3_server: S3Server, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LIMIT, "1")
    monkeypatch.setattr(block_cache, "CHUNK_BYTES", 8192)
    address, expected, index = put(s3_uri, file), list(batches(samples_of(str(file)))), Index()
    with FaultyProxy(s3_server.port, lambda *_: None).running() as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)

        def read() -> int:
            """Requests for bytes of the file."""
            proxy.seen.clear()
            assert same(list(batches(samples_of(address, index))), expected)
            return sum(method == "GET" for method, _, _ in proxy.seen)

        assert read() > 0
        assert read() == 0
        kept = sorted((tmp_path / "cache").rglob("*"))[-1]
        kept.write_bytes(b"damaged")
        assert 1 <= read() <= THREADS  # several of which may want it at once
        # A cache that cannot be written, such as on a disk that is full.
        (tmp_path / "no folder").write_text("")
        monkeypatch.setattr(block_cache, "cache_folder", lambda: tmp_path / "no folder")
        with pytest.warns(DiskCacheWarning) as said:
            assert read() > 0
        assert len([one for one in said if one.category is DiskCacheWarning]) == 1


def other_rows(file: Path) -> bytes:
    return write(file, *rows(N, 5), GROUPS).read_bytes()


def other_columns(file: Path) -> bytes:
    inputs, labels = rows(N, 0)
    return write(file, np.concatenate([inputs, inputs], 1), labels, GROUPS).read_bytes()


def shortened(file: Path) -> bytes:
    return file.read_bytes()[:3000]


@pytest.mark.parametrize("change", [other_rows, other_columns, shortened, None])
@pytest.mark.parametrize("gigabytes", ["1", "0"])
def test_a_file_that_changes_in_mid_epoch_is_named(
    gigabytes: str, change: Any, s3_uri: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LIMIT, gigabytes)
    address = put(s3_uri, file)
    samples = samples_of(address)
    samples.fingerprint(None)
    reading = batches(samples)
    next(reading)
    client, bucket = boto3.client("s3"), s3_uri.removeprefix("s3://")
    if change is None:
        client.delete_object(Bucket=bucket, Key=file.name)
    else:
        client.put_object(Bucket=bucket, Key=file.name, Body=change(file))
    what = "there is no such file" if change is None else "has changed since|was written again while it was read"
    with pytest.raises(DataError, match=rf"{address}.*({what})"):
        list(reading)
        # The same second, and the same size: what was read before the change is whole, and the next pass sees it.
        list(batches(samples))


def test_a_file_that_is_deleted_while_it_is_read_is_not_there(s3_uri: str, file: Path) -> None:
    address = put(s3_uri, file)
    with pytest.raises(DataError, match="there is no such file"), Location(address).open() as opened:
        boto3.client("s3").delete_object(Bucket=s3_uri.removeprefix("s3://"), Key=file.name)
        opened.read()


def test_many_files_of_a_folder_are_listed_and_what_they_are_is_the_same(
    s3_uri: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Location(put(s3_uri, file))
    two = Location(put(s3_uri, file.rename(file.with_name("b.parquet"))))
    asked = states([two, one])
    monkeypatch.setattr(location, "_MOST_AT_ONCE", 2)
    assert states([two, one]) == asked and asked[0].bytes == asked[1].bytes > 0
    with pytest.raises(DataError, match=r"3\.parquet: there is no such file"):
        states([one, two, Location(f"{s3_uri}/3.parquet")])

"""The main job with everything in a real S3 server: commits, refs, checkpoints and Ray's own scratch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from orchestrator.cluster.connect import cluster
from orchestrator.cluster.index_tasks import IndexTasks
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training.driver import run
from pipelines.config.load import load_text
from pipelines.config.schema import Pipeline
from pipelines.data.blocks.block_index import BlockIndex
from pipelines.data.datasets.arrow_columns import Columns
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.parquet_blocks import ParquetBlocks
from tests.orchestrator.train_stream import train
from tests.pipelines.data.blocks.block_files import rows, write
from tests.pipelines.data.blocks.test_block_index import Kept
from tests.s3.server import s3_server, s3_uri

__all__ = ["s3_server", "s3_uri"]

pytestmark = [pytest.mark.ray, pytest.mark.s3, pytest.mark.slow]


def pipeline(storage: str, experiences: int) -> Pipeline:
    order = [[2 * k, 2 * k + 1] for k in range(experiences)]
    return load_text(
        f"name: digits\nstream: {{dataset: digits, setting: class-incremental, order: {order}}}\n"
        "model: {name: mlp, hidden: [16]}\nstrategy: [{name: replay, capacity: 40}]\n"
        "train: {epochs: 1, batch_size: 50, checkpoint_every: 1}\n"
        f"storage: {storage}\ntracking: {{uri: 'http://127.0.0.1:9'}}\n"
    )


@pytest.fixture
def ray_cluster(s3_uri: str) -> Iterator[None]:
    """Started when AWS_* lead to the server, so that its processes have them."""
    with cluster(None, load_text("name: x\nstream: {dataset: digits, setting: class-incremental}\nmodel: mlp\n"
                                 "scaling: {workers: 2}\n").scaling):  # fmt: skip
        yield


@pytest.mark.usefixtures("ray_cluster")
def test_a_stream_is_learned_extended_and_reused_in_s3(s3_uri: str, tmp_path: Path) -> None:
    place = f"{s3_uri}/some/prefix"
    first = train(pipeline(place, 1))
    longer = run(pipeline(place, 3), workers=2)
    assert (longer.trained, longer.reused) == (2, 1)
    assert longer.lineage[:1] == first
    again = run(pipeline(place, 3))
    assert (again.trained, again.reused) == (0, 3)
    store = open_store(place)
    ref = Lineage(store, "digits").ref("latest")
    assert ref is not None
    assert ref.commit == longer.lineage[-1]
    assert list(store.list("digits/runs/")) == []  # Ray's scratch and the checkpoints are gone
    check_index_by_tasks(s3_uri, tmp_path)


def check_index_by_tasks(s3_uri: str, tmp_path: Path) -> None:
    """The index of files in S3 is the same bytes by tasks. Not a test of its own: Ray takes seconds to start."""
    client = boto3.client("s3")
    for number in range(3):
        made = write(tmp_path / f"{number}.parquet", *rows(12, number), (5, 3, 4))
        client.put_object(Bucket=s3_uri.removeprefix("s3://"), Key=made.name, Body=made.read_bytes())
    stores = [Kept(), Kept(executor=IndexTasks(lambda: None, small=-1))]
    for kept in stores:
        index = BlockIndex(ParquetBlocks(Columns.of("x", "label", None)), kept)
        index.hashed(index.files([Location(f"{s3_uri}/{number}.parquet") for number in range(3)]))
    assert stores[0].data is not None and stores[0].data == stores[1].data

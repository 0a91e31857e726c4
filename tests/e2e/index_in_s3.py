"""`python -m tests.e2e.index_in_s3 BUCKET`: the index of files in S3, by tasks of the cluster at RAY_ADDRESS.

It must be the bytes that this process makes by itself.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import boto3

from orchestrator.cluster.connect import cluster
from orchestrator.cluster.index_tasks import IndexTasks
from pipelines.config.sections.scaling_section import ScalingSpec
from pipelines.data.blocks.block_index import BlockIndex
from pipelines.data.datasets.arrow_columns import Columns
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.parquet_blocks import ParquetBlocks
from tests.pipelines.data.blocks.block_files import rows, write
from tests.pipelines.data.blocks.test_block_index import Kept


def main(bucket: str) -> None:
    client = boto3.client("s3")
    with tempfile.TemporaryDirectory() as folder:
        for number in range(3):
            made = write(Path(folder, f"{number}.parquet"), *rows(12, number), (5, 3, 4))
            client.put_object(Bucket=bucket, Key=f"rows/{made.name}", Body=made.read_bytes())
    alone, by_tasks = Kept(), Kept(executor=IndexTasks(lambda: None, small=-1))
    with cluster(None, ScalingSpec(workers=1)):
        for kept in (alone, by_tasks):
            index = BlockIndex(ParquetBlocks(Columns.of("x", "label", None)), kept)
            index.hashed(index.files([Location(f"s3://{bucket}/rows/{number}.parquet") for number in range(3)]))
    assert alone.data is not None and alone.data == by_tasks.data, "the index by tasks is another one"
    print(f"index:  {len(alone.data)} bytes, by this process and by tasks")


if __name__ == "__main__":
    main(sys.argv[1])

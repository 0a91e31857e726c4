"""MosaicML's StreamingDataset, in an environment of its own: `python streaming_run.py WHAT PARQUET SHARDS`.

`convert` writes shards (MDS) from parquet files with a column `x` of lists and one `label`; `read` passes over them
once in batches of 512, shuffled. The last line is JSON: rows, and CPU and wall seconds of the work without imports.
`guarantees` writes ragged files to PARQUET and says what holds of the batches that the library plans for its ranks.

torchvision's own operators do not load beside the CPU build of torch: declaring their schemas before is enough, as in
`avalanche_run`.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from pyarrow import parquet

from tests.benchmarks.reader_guarantees import BATCH as RAGGED
from tests.benchmarks.reader_guarantees import Read, guarantees, write_ragged

warnings.filterwarnings("ignore")
_operators = torch.library.Library("torchvision", "DEF")
for _name in ("nms", "qnms"):
    _operators.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

BATCH = 512


def convert(source: Path, shards: Path) -> int:
    from streaming import MDSWriter

    rows = 0
    width = len(parquet.read_table(next(iter(sorted(source.glob("*.parquet")))), columns=["x"]).slice(0, 1)["x"][0])
    columns = {"x": f"ndarray:float32:{width}", "label": "int"}
    with MDSWriter(out=str(shards), columns=columns) as writer:
        for path in sorted(source.glob("*.parquet")):
            file = parquet.ParquetFile(path)
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                inputs = table["x"].combine_chunks().flatten().to_numpy().reshape(len(table), width)
                for x, label in zip(inputs, table["label"].to_pylist(), strict=True):
                    writer.write({"x": x, "label": label})
                rows += len(table)
    return rows


def read(shards: Path) -> int:
    from streaming import StreamingDataset
    from torch.utils.data import DataLoader

    dataset = StreamingDataset(local=str(shards), shuffle=True, shuffle_seed=0, batch_size=BATCH)
    rows = 0
    for batch in DataLoader(dataset, batch_size=BATCH):
        rows += len(torch.as_tensor(np.asarray(batch["x"])))
    return rows


def planned(shards: Path) -> Read:
    """The rows of each global batch as the library divides them between the ranks of one node, a worker in each."""
    from streaming import StreamingDataset
    from streaming.base.batching import generate_work
    from streaming.base.world import World

    dataset = StreamingDataset(
        local=str(shards), shuffle=True, shuffle_seed=0, batch_size=RAGGED, num_canonical_nodes=1,
        shuffle_block_size=2**18,
    )  # fmt: skip

    def read(readers: int, start: int) -> list[list[int]]:
        dataset.batch_size = RAGGED // readers
        work = generate_work("random", dataset, World(1, readers, 1, 0), 0, start * RAGGED)
        ranks = work[0, :, 0].transpose(1, 0, 2)
        return [[one for one in batch.ravel().tolist() if one >= 0] for batch in ranks]

    return read


def main(what: str, source: Path, shards: Path) -> None:
    torch.set_num_threads(1)
    import streaming  # noqa: F401  (its imports are not the work)

    if what == "guarantees":
        write_ragged(source)
        convert(source, shards)
        print(json.dumps(guarantees(planned(shards))), flush=True)
        return
    wall, cpu = time.perf_counter(), time.process_time()
    rows = convert(source, shards) if what == "convert" else read(shards)
    print(json.dumps({"rows": rows, "cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))

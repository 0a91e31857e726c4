"""What readers guarantee beside their speed, measured: `python -m tests.benchmarks.reader_guarantees lanes|ray FOLDER`.

Three files with row groups of ragged sizes are read once by 1, 2 and 4 readers in global batches of 60 rows, and again
by as many from a batch in the middle on. Compared are the rows of each global batch. `lane_peers` has it in its table;
MosaicML's library does the same in `streaming_run`, in its own environment.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

READERS = (1, 2, 4)
BATCH = 60
GROUPS = ((100, 37, 211, 5), (90, 90, 41), (300, 1, 128))
"""Rows of the row groups of each file: 1003 together."""
ROWS = sum(map(sum, GROUPS))
MIDDLE = 7
"""Batches after which another number of readers resumes."""
LIMIT_S = 60

Read = Callable[[int, int], list[list[int]] | None]
"""Ids of the rows of each global batch, by a number of readers, from a batch on; None: it cannot begin there."""


def write_ragged(folder: Path) -> None:
    """Files with the column `x`, a `label` and an `id`, the number of the row in all files."""
    import pyarrow as pa
    from pyarrow import parquet

    folder.mkdir(parents=True)
    done = 0
    for number, groups in enumerate(GROUPS):
        schema = pa.schema([("x", pa.list_(pa.float32(), 2)), ("label", pa.int64()), ("id", pa.int64())])
        with parquet.ParquetWriter(folder / f"{number}.parquet", schema) as writer:
            for rows in groups:
                ids = np.arange(done, done + rows)
                inputs = pa.FixedSizeListArray.from_arrays(pa.array(np.repeat(ids.astype(np.float32), 2)), 2)
                writer.write_table(pa.table([inputs, pa.array(ids % 3), pa.array(ids)], schema=schema))
                done += rows


def guarantees(read: Read) -> dict[str, Any]:
    """What holds: the same batches for all numbers of readers, and resume; rows missing and repeated at the most."""
    made = [_sorted(read(readers, 0)) or [] for readers in READERS]
    again = [_sorted(read(readers, MIDDLE)) for readers in READERS]
    ids = [[one for batch in batches for one in batch] for batches in made]
    first = made[0]
    return {
        "same": min(_alike(batches, first) for batches in made),
        "batches": max(map(len, made)),
        "missing": max(ROWS - len(set(found)) for found in ids),
        "repeated": max(len(found) - len(set(found)) for found in ids),
        "position": None not in again,
        "resumed": min(_alike(batches or [], first[MIDDLE:]) for batches in again),
    }


def _sorted(batches: list[list[int]] | None) -> list[list[int]] | None:
    """Whatever the order within a batch, its step is the same."""
    return None if batches is None else [sorted(batch) for batch in batches]


def _alike(batches: list[list[int]], others: list[list[int]]) -> int:
    """How many batches are the same, from the first on."""
    pairs = list(zip(batches, others, strict=False))
    return next((number for number, (one, other) in enumerate(pairs) if one != other), len(pairs))


def said(found: dict[str, Any] | str) -> tuple[str, str, str]:
    """In words: the same batches, resume, and every row once; or why nothing is known."""
    if isinstance(found, str):
        return found, found, found
    once = [f"{found[what]} {what}" for what in ("missing", "repeated") if found[what]]
    resumed = _first(found["resumed"], found["batches"] - MIDDLE) if found["position"] else "no position in an epoch"
    return _first(found["same"], found["batches"]), resumed, f"no: {', '.join(once)}" if once else "yes"


def _first(same: int, batches: int) -> str:
    return "yes" if same == batches else f"the first {same} of {batches} batches" if same else "no"


def answer(*command: str, environment: dict[str, str]) -> dict[str, Any] | str:
    """The last line of what a command says, JSON; else in words what became of it."""
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        out, problem = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return f"no answer within {LIMIT_S} s"
    if process.returncode:
        return f"failed: {problem.strip().splitlines()[-1][:200] if problem.strip() else process.returncode}"
    return dict(json.loads(out.strip().splitlines()[-1]))


def lanes(folder: Path) -> Read:
    """The reader of lanes. All files are one experience."""
    from pipelines.config.load import load_text
    from pipelines.data.streams import build_stream
    from strategies.loop.order_of_samples import sample_order
    from strategies.loop.process_group import Group
    from strategies.loop.train_settings import TrainSettings

    text = (
        f"name: x\nstream: {{dataset: {{name: parquet, path: {folder}, test: {folder}, id: id}}, "
        "setting: domain-incremental, lanes: 4}\nmodel: mlp\nstrategy: [naive]\n"
    )
    pipeline = load_text(text)
    train: Any = build_stream(pipeline.stream, pipeline.seed)[0].train
    order = sample_order(train, TrainSettings(batch_size=BATCH, epochs=1, lanes=4), 0, 0)

    def read(readers: int, start: int) -> list[list[int]]:
        made: list[list[int]] = [[] for _ in range(len(order) - start)]
        for rank in range(readers):
            reader = train.lane_batches(order, Group(rank, readers), start)
            for batch, _ in zip(made, reader, strict=True):
                batch.extend(reader.ids.tolist())
        return made

    return read


def ray_data(folder: Path) -> Read:
    """Ray Data: rows shuffled with a seed, and split equally between consumers. It has no position to resume from."""
    import ray

    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars, context.execution_options.preserve_order = False, True

    def read(readers: int, start: int) -> list[list[int]] | None:
        if start:
            return None
        data = ray.data.read_parquet(str(folder / "all")).random_shuffle(seed=0).materialize()
        shares = [
            [batch["id"].tolist() for batch in part.iter_torch_batches(batch_size=BATCH // readers)]
            for part in data.split(readers, equal=True)
        ]
        steps = max(map(len, shares))
        return [
            [one for share in shares for one in (share[step] if step < len(share) else [])] for step in range(steps)
        ]

    return read


def main(way: str, folder: Path) -> None:
    """Print what holds as JSON."""
    write_ragged(folder / "all")
    print(json.dumps(guarantees({"lanes": lanes, "ray": ray_data}[way](folder))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

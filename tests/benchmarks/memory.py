"""Peak memory of a stream, by its length: it grows with one experience and the memory, not with the stream.

A folder of npz files, one for each experience (20 MB of images), learned in one process with replay.
`python -m tests.benchmarks.memory`
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROWS, SIZE = 5_000, 4_096


def measure(lengths: tuple[int, ...] = (2, 5, 15)) -> dict[int, float]:
    """Peak resident memory in MB, by the number of experiences."""
    with tempfile.TemporaryDirectory(prefix="everlearn-bench-") as folder:
        peaks: dict[int, float] = {}
        for length in lengths:
            data = Path(folder) / str(length)
            data.mkdir()
            generator = np.random.default_rng(0)
            for index in range(length):
                x = generator.integers(0, 256, (ROWS, SIZE), dtype=np.uint8)
                np.savez(data / f"{index:03}.npz", x=x, y=generator.integers(0, 10, ROWS))
            command = [sys.executable, "-m", "tests.benchmarks.memory", str(data), str(length)]
            peaks[length] = float(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
        return peaks


def learn(data: str, length: int) -> float:
    """Learn the stream in this process; its peak memory in MB."""
    import torch

    from orchestrator.lineage.lineage import Lineage
    from orchestrator.lineage.plan import make_plan
    from orchestrator.storage.open_by_uri import open_store
    from orchestrator.training.rank import RankTraining
    from pipelines.config.load import load_text
    from pipelines.data.streams import build_stream
    from strategies.loop.process_group import Group

    torch.set_num_threads(1)
    pipeline = load_text(
        f"name: bench\nstream: {{dataset: {{name: npz, path: {data}, classes: 10}}, setting: class-incremental, "
        f"experiences: {length}}}\nmodel: {{name: mlp, hidden: [16]}}\n"
        f"strategy: [{{name: replay, capacity: 500}}]\ntrain: {{steps: 20}}\nstorage: {data}/store\n"
    )
    stream = build_stream(pipeline.stream, pipeline.seed)
    RankTraining(
        pipeline=pipeline,
        stream=stream,
        plan=make_plan(pipeline, stream),
        lineage=Lineage(open_store(pipeline.storage), pipeline.name),
        group=Group(),
        device=torch.device("cpu"),
        on_event=lambda event: None,
    ).run()
    # Not ru_maxrss, which begins with that of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(learn(sys.argv[1], int(sys.argv[2])))
    else:
        for length, peak in measure().items():
            print(f"memory         {peak:.0f} MB at the most for {length} experiences of {ROWS * SIZE / 1e6:.0f} MB")

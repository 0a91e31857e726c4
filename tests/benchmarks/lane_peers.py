"""Reading in lanes beside others: a plain pyarrow scan, MosaicML's StreamingDataset and Ray Data, on the same rows.

`make bench ARGS="lane_peers megabytes=1000 rounds=3 ways=lanes,ray"`. Each pass is a process of its own, in turn;
what counts is the CPU time of the pass with all processes that it started, without imports and, for Ray, without its
start. All end with batches of 512 rows as tensors, but for the scan, which ends with whole row groups as arrays.
What each guarantees beside its speed is measured on small ragged files (`reader_guarantees`).
MosaicML reads its own shards, converted before; `mosaicml-streaming` 0.13.0 is installed into build/streaming, once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from tests.benchmarks.large_parquet import write_large
from tests.benchmarks.reader_guarantees import answer, said
from tests.benchmarks.start import ROOT

ENVIRONMENT = ROOT / "build" / "streaming"
REQUIREMENTS = (
    ("torch==2.13.0",),
    ("--no-deps", "torchvision==0.28.0"),
    ("mosaicml-streaming==0.13.0", "pyarrow==25.0.1"),
)
SCRIPT = Path(__file__).with_name("streaming_run.py")
BATCH = 512

CONVERSION = {"pyarrow": "no", "lanes": "no", "mosaicml": "yes", "ray": "no"}
"""Whether data are converted before, by way."""


def guaranteed(way: str, python: str) -> tuple[str, str, str]:
    """What a way guarantees on ragged files: the same batches at 1, 2 and 4 readers, resume, and every row once.

    Args:
        python: the interpreter that has MosaicML's library.
    """
    if way == "pyarrow":
        return "the file's order", "no", "yes"
    with tempfile.TemporaryDirectory(prefix="everlearn-bench-") as folder:
        command = [sys.executable, "-m", "tests.benchmarks.reader_guarantees", way, folder]
        if way == "mosaicml":
            command = [python, str(SCRIPT), "guarantees", f"{folder}/ragged", f"{folder}/shards"]
        return said(answer(*command, environment=_environment_of_passes()))


def scan(folder: Path) -> int:
    from tests.benchmarks.lanes import scan as plain

    files = sorted(folder.glob("*.parquet"))
    plain(files)
    return _rows(files)


def lanes(folder: Path) -> int:
    from pipelines.build import train_settings
    from pipelines.data.streams import build_stream
    from strategies.loop.order_of_samples import sample_order
    from strategies.loop.process_group import Group
    from tests.benchmarks.lanes import pipeline_of

    pipeline = pipeline_of(folder.parent)
    rows = 0
    for experience in build_stream(pipeline.stream, pipeline.seed):
        train = experience.train
        order = sample_order(train, train_settings(pipeline, 0), 0, 0)
        for inputs, _ in train.lane_batches(order, Group()):  # type: ignore[attr-defined]
            rows += len(inputs)
    return rows


def ray_data(folder: Path) -> int:
    import ray

    rows = 0
    data = ray.data.read_parquet(str(folder)).random_shuffle(seed=0)
    for batch in data.iter_torch_batches(batch_size=BATCH):
        rows += len(batch["x"])
    return rows


WAYS: dict[str, Callable[[Path], int]] = {"pyarrow": scan, "lanes": lanes, "ray": ray_data}


def _rows(files: list[Path]) -> int:
    from pyarrow import parquet

    return sum(parquet.read_metadata(file).num_rows for file in files)


def _cpu() -> float:
    """Seconds of this process and of all that came from it, which may be children of a child that is gone."""
    found = {int(path.name): _stat(path) for path in Path("/proc").iterdir() if path.name.isdigit()}
    family, size = {os.getpid()}, 0
    while len(family) != size:
        size = len(family)
        family |= {one for one, (parent, _) in found.items() if parent in family}
    ticks = sum(found[one][1] for one in family if one in found)
    return ticks / os.sysconf("SC_CLK_TCK")


def _stat(path: Path) -> tuple[int, int]:
    try:
        fields = (path / "stat").read_text().rpartition(")")[2].split()
    except OSError:  # it is gone
        return 0, 0
    return int(fields[1]), sum(int(value) for value in fields[11:15])


def one_pass(way: str, folder: Path) -> None:
    """The last line is JSON, as that of `streaming_run`."""
    import torch

    torch.set_num_threads(1)
    if way == "ray":
        import ray

        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        ray.data.DataContext.get_current().enable_progress_bars = False
        ray_data(folder.parent / "test")  # its workers are there
    else:
        WAYS[way](folder)  # imports, and files in the page cache
    wall, cpu = time.perf_counter(), _cpu()
    rows = WAYS[way](folder)
    print(json.dumps({"rows": rows, "cpu": _cpu() - cpu, "wall": time.perf_counter() - wall}), flush=True)


def _environment_of_passes() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def _said(*command: str) -> dict[str, float]:
    done = subprocess.run(command, env=_environment_of_passes(), capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        sys.exit(f"{' '.join(command[:5])} failed:\n{done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def _environment() -> str:
    """The interpreter that has MosaicML's library."""
    python = str(ENVIRONMENT / "bin" / "python")
    if not (ENVIRONMENT / "complete").exists():
        print(f"Installing mosaicml-streaming into {ENVIRONMENT.relative_to(ROOT)} (once; some minutes)", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
        for requirements in REQUIREMENTS:
            subprocess.run([python, "-m", "pip", "install", "-qq", "--no-compile", *requirements], check=True)
        (ENVIRONMENT / "complete").touch()
    return python


def main(megabytes: float = 100, rounds: int = 3, ways: Sequence[str] = tuple(CONVERSION)) -> None:
    """Print the table. The ratios are to a scan of the same round."""
    python = _environment()
    with tempfile.TemporaryDirectory(prefix="everlearn-bench-") as name:
        folder, shards = Path(name) / "train", Path(name) / "shards"
        write_large(folder.with_name("test"), 1)
        rows = write_large(folder, megabytes)
        converted = _said(python, str(SCRIPT), "convert", str(folder), str(shards))
        found: dict[str, list[dict[str, float]]] = {way: [] for way in dict.fromkeys(["pyarrow", *ways])}
        for _ in range(rounds):
            for way, passes in found.items():
                if way == "mosaicml":
                    passes.append(_said(python, str(SCRIPT), "read", str(folder), str(shards)))
                else:
                    passes.append(_said(sys.executable, "-m", "tests.benchmarks.lane_peers", way, str(folder)))
        print(f"A pass over {rows:,} rows of 128 float32, {megabytes:.0f} MB, {rounds} rounds in turn")
        print("What holds is said of 1, 2 and 4 readers of small ragged files")
        print("| way | CPU time / scan | CPU s | same batches | resume | every row once | conversion |")
        for way, passes in found.items():
            ratios = [one["cpu"] / scan["cpu"] for one, scan in zip(passes, found["pyarrow"], strict=True)]
            ratio = f"{median(ratios):.1f} [{min(ratios):.1f} .. {max(ratios):.1f}]"
            cpu = median(one["cpu"] for one in passes)
            lacking = "" if all(one["rows"] == rows for one in passes) else f" ({passes[0]['rows']:,.0f} rows)"
            conversion, (order, resume, once) = CONVERSION[way], guaranteed(way, python)
            if way == "mosaicml":
                conversion += f", {converted['cpu'] / found['pyarrow'][0]['cpu']:.0f} scans"
            print(f"| {way} | {ratio} | {cpu:.2f} | {order} | {resume} | {once}{lacking} | {conversion} |", flush=True)


if __name__ == "__main__":
    one_pass(sys.argv[1], Path(sys.argv[2]))

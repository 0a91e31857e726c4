"""A stream of parquet that is larger than the memory of the process that learns it, and which is killed meanwhile.

`python -m tests.benchmarks.larger_than_memory [MEGABYTES [LIMIT [KILLS]]]`: writes 3000 MB, and lets `everlearn run`
learn them twice, in processes with 1500 MB of memory each: in a memory cgroup, where one can be made, so that the
kernel ends a process that needs more; else the peak is only measured. The second run is killed five times by SIGKILL,
and given again. Both must come to the same chain of commits, to the bit. Exit status 1 when something does not hold.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.open_by_uri import open_store
from tests.benchmarks.large_parquet import write_large
from tests.faults.invariants import content, violations
from tests.faults.victim import prepared

LANES, WINDOW, BATCH, EVERY = 8, 2, 2048, 25


@dataclass(frozen=True)
class Run:
    """One process of `everlearn run`.

    Attributes:
        status: its exit status.
        killed: whether it was killed from here.
        peak: the most memory that it had at once, in MB.
        seconds: how long it took.
        output: what it said.
    """

    status: int
    killed: bool
    peak: float
    seconds: float
    output: str


def pipeline_text(data: Path, storage: Path) -> str:
    return (
        f"name: large\nstream: {{dataset: {{name: parquet, path: {data / 'train'}, test: {data / 'test'}}}, "
        f"setting: domain-incremental, lanes: {LANES}, window: {WINDOW}}}\nmodel: {{name: mlp, hidden: [32]}}\n"
        f"strategy: [{{name: replay, capacity: 500}}]\nstorage: {storage}\n"
        f"train: {{epochs: 1, batch_size: {BATCH}, checkpoint_every: {EVERY}, optimizer: {{name: adam}}}}\n"
        f"tracking: {{uri: 'sqlite:///{storage}.db'}}\n"
    )


def write(folder: Path, megabytes: float) -> int:
    """Three experiences, and small test sets. Returns the number of rows."""
    write_large(folder / "test", 1)
    return write_large(folder / "train", megabytes)


@contextmanager
def memory_group(limit: float) -> Iterator[Path | None]:
    """A memory cgroup of so many MB, page cache included; None: none can be made here."""
    root = Path("/sys/fs/cgroup")
    version_1 = (root / "memory").is_dir()
    group = root / ("memory" if version_1 else "") / f"everlearn-{os.getpid()}"
    try:
        group.mkdir()
        (group / ("memory.limit_in_bytes" if version_1 else "memory.max")).write_text(str(int(limit * 1e6)))
    except OSError:
        if group.is_dir():
            group.rmdir()
        yield None
        return
    try:
        yield group
    finally:
        group.rmdir()


def run(file: Path, group: Path | None, after: float | None = None) -> Run:
    """`everlearn run`.

    Args:
        group: the memory cgroup that the process is put into.
        after: seconds after which it is killed; None: it is not.
    """
    command = [sys.executable, "-m", "orchestrator.cli.main", "run", str(file)]
    if group is not None:
        command = ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh", *command]
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said: list[str] = []
    assert process.stdout is not None
    reading = threading.Thread(target=lambda: said.append(process.stdout.read() if process.stdout else ""))
    reading.start()
    peak, killed = 0.0, False
    while process.poll() is None:
        peak = max(peak, peak_of(process.pid))
        if after is not None and time.monotonic() - started > after:
            killed = True
            process.kill()
        time.sleep(0.05)
    reading.join()
    return Run(process.returncode, killed, peak, time.monotonic() - started, "".join(said))


def peak_of(process: int) -> float:
    """The most memory that a process had at once, in MB; 0: it is gone."""
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    return int(text.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6 if "VmHWM:" in text else 0.0


def main(megabytes: float = 3000, limit: float = 1500, kills: int = 5) -> None:
    with tempfile.TemporaryDirectory(prefix="everlearn-large-") as name, memory_group(limit) as group:
        folder = Path(name)
        rows = write(folder, megabytes)
        kind = "by a memory cgroup" if group is not None else "measured only: no memory cgroup can be made here"
        print(f"{megabytes:.0f} MB of parquet, {rows:,} rows; {limit:.0f} MB for each process ({kind})", flush=True)
        files = {name: folder / f"{name}.yaml" for name in ("whole", "killed")}
        for name, file in files.items():
            file.write_text(pipeline_text(folder, folder / name))
        whole = _checked(run(files["whole"], group), limit)
        print(f"  undisturbed: {whole.seconds:.0f} s, peak {whole.peak:.0f} MB", flush=True)
        draw, peak, done = random.Random(0), 0.0, 0
        while True:
            # Most kills come in the middle of an epoch, since learning takes most of the time.
            after = draw.uniform(0.15, 0.35) * whole.seconds if done < kills else None
            one = _checked(run(files["killed"], group, after), limit)
            peak = max(peak, one.peak)
            if not one.killed:
                break
            done += 1
            print(f"  killed after {one.seconds:.0f} s", flush=True)
        chains = []
        for file in files.values():
            pipeline, _, plan = prepared(file.read_text())
            lineage = Lineage(open_store(pipeline.storage), pipeline.name)
            chains.append(content(lineage, plan))
            if wrong := violations(lineage):
                sys.exit("\n".join(wrong))
        if chains[0] != chains[1]:
            sys.exit("the chain of commits differs from the undisturbed one")
        print(f"  killed {done} times: peak {peak:.0f} MB, the same chain of commits to the bit")


def _checked(one: Run, limit: float) -> Run:
    if one.status and not one.killed:
        sys.exit(f"exit status {one.status}, peak {one.peak:.0f} MB: {one.output[-2000:]}")
    if one.peak > limit:
        sys.exit(f"a process took {one.peak:.0f} MB")
    return one


if __name__ == "__main__":
    given = [float(value) for value in sys.argv[1:]]
    main(*given[:2], *(int(value) for value in given[2:]))

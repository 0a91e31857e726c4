"""The same work with Avalanche and with `everlearn run`: whole processes, in turn, accuracy beside time.

Avalanche (`avalanche-lib` 0.6.0) is installed from PyPI into build/peers, once: torch 2.13.0, then torchvision 0.28.0
without its dependencies, then Avalanche. Both read the same .npz files, train the same MLP with the same optimiser and
batches on one thread, and evaluate all test sets after each experience. Everlearn also writes its commits and MLflow.
Round n has seed n on both sides: accuracy is the median of as many seeds. A method's options are set to mean the same
where both have them; the importance of EWC does not: Avalanche squares the
gradient of a batch of 128, Everlearn that of each of 2000 samples.
"""

from __future__ import annotations

import gzip
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from tests.benchmarks.start import ROOT, mnist

ENVIRONMENT = ROOT / "build" / "peers"
REQUIREMENTS = (("torch==2.13.0",), ("--no-deps", "torchvision==0.28.0"), ("avalanche-lib==0.6.0", "quadprog"))
SCRIPT = Path(__file__).with_name("avalanche_run.py")
STRATEGIES: dict[str, dict[str, object]] = {
    "naive": {"name": "naive"},
    "ewc": {"name": "ewc", "lambda": 100, "estimate": "empirical", "samples": 2000},
    "replay": {"name": "replay", "capacity": 500, "ratio": 0.5},
    "lwf": {"name": "lwf", "alpha": 1, "temperature": 2},
    "agem": {"name": "agem", "capacity": 500, "samples": 256},
    "gem": {"name": "gem", "capacity": 500, "margin": 0.5},
    "si": {"name": "si", "c": 1},
}
LENGTHS, GROWING = (5, 20, 50), ("naive", "ewc", "replay")


class Run(NamedTuple):
    """One process.

    Attributes:
        wall, cpu: seconds, of the process and its children.
        accuracy: mean over the experiences at the end.
    """

    wall: float
    cpu: float
    accuracy: float


def main(rounds: int = 1, epochs: Sequence[int] = (1, 5), methods: Sequence[str] = (*STRATEGIES, "growth")) -> None:
    """Print the table; `growth` among the methods is the second table."""
    folder = mnist()
    if folder is None:
        print("Peers are left out: EVERLEARN_DATA names no folder with mnist/ in it")
        return
    python = _environment()
    with tempfile.TemporaryDirectory(prefix="everlearn-peers-") as name:
        scratch = Path(name)
        split = _write(scratch / "split", _split(folder))
        # Python keeps compiled bytecode, as after an installation; the first pair makes it, and does not count.
        _pair(python, scratch, _write(scratch / "warm", _slices(folder, 2)), "naive", 1)
        print(f"Split MNIST, whole processes in turn, {rounds} rounds: Everlearn / Avalanche, median [range]")
        for count in epochs:
            for method in STRATEGIES:
                if method in methods:
                    pairs = [_pair(python, scratch, split, method, count, seed) for seed in range(rounds)]
                    _print(f"{method}, {count} epoch{'s' if count > 1 else ''}", pairs)
        if "growth" in methods:
            print("Growth: 1200 samples of MNIST an experience; CPU milliseconds for each further experience")
            for method in GROWING:
                _growth(python, scratch, folder, method)


def _environment() -> Path:
    """The interpreter that has Avalanche."""
    python = ENVIRONMENT / "bin" / "python"
    if not (ENVIRONMENT / "complete").exists():
        print(f"Installing Avalanche into {ENVIRONMENT.relative_to(ROOT)} (once; some minutes)", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
        for requirements in REQUIREMENTS:
            command = [str(python), "-m", "pip", "install", "-qq", "--no-compile", *requirements]
            subprocess.run(command, check=True)
        (ENVIRONMENT / "complete").touch()
    return python


def _split(folder: Path) -> list[dict[str, np.ndarray]]:
    data = _mnist_arrays(folder)
    return [
        {name: values[data[f"y_{name.partition('_')[2]}"] // 2 == task] for name, values in data.items()}
        for task in range(5)
    ]


def _slices(folder: Path, length: int) -> list[dict[str, np.ndarray]]:
    """`length` experiences of 1200 training and 200 test samples of all classes."""
    data = _mnist_arrays(folder)
    size = {"train": 1200, "test": 200}
    return [
        {name: values[i * size[part] : (i + 1) * size[part]] for name, values in data.items() for part in [name[2:]]}
        for i in range(length)
    ]


def _mnist_arrays(folder: Path) -> dict[str, np.ndarray]:
    found = {}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        images, labels = (_read(folder, f"{prefix}-{kind}") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"))
        found[f"x_{part}"] = images[16:].reshape(-1, 784).astype(np.float32) / 255
        found[f"y_{part}"] = labels[8:].astype(np.int64)
    return found


def _read(folder: Path, name: str) -> np.ndarray:
    packed = folder / f"{name}.gz"
    content = gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / name).read_bytes()
    return np.frombuffer(content, dtype=np.uint8)


def _write(folder: Path, experiences: Sequence[dict[str, np.ndarray]]) -> list[Path]:
    """For both: x_train, y_train, x_test and y_test of each experience in one file."""
    folder.mkdir()
    files = [folder / f"{index:03}.npz" for index in range(len(experiences))]
    for file, arrays in zip(files, experiences, strict=True):
        np.savez(file, **arrays)  # type: ignore[arg-type]
    return files


def _pair(
    python: Path, scratch: Path, files: Sequence[Path], method: str, epochs: int, seed: int = 0
) -> tuple[Run, Run]:
    return _everlearn(scratch, files, method, epochs, seed), _avalanche(python, scratch, files, method, epochs, seed)


def _everlearn(scratch: Path, files: Sequence[Path], method: str, epochs: int, seed: int) -> Run:
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        # `run` leaves its working directory with a store and MLflow's database in it.
        file = Path(name) / "peers.yaml"
        document = {
            "name": "peers",
            "seed": seed,
            "stream": {
                "dataset": {"name": "npz", "path": str(files[0].parent), "classes": 10},
                "setting": "class-incremental" if len({*map(_classes, files)}) > 1 else "domain-incremental",
            },
            "model": {"name": "mlp", "hidden": [400, 400]},
            "strategy": [STRATEGIES[method]],
            "train": {"epochs": epochs, "batch_size": 128, "optimizer": {"name": "adam", "lr": 0.001}},
        }
        file.write_text(yaml.safe_dump(document), encoding="utf-8")
        arguments = [sys.executable, "-m", "orchestrator.cli.main", "run", str(file), "--json"]
        return _run(arguments, Path(name), lambda out: float(json.loads(out)["average_accuracy"]))


def _classes(file: Path) -> tuple[int, ...]:
    return tuple(np.unique(np.load(file)["y_train"]).tolist())


def _avalanche(python: Path, scratch: Path, files: Sequence[Path], method: str, epochs: int, seed: int) -> Run:
    arguments = [str(python), str(SCRIPT), method, str(epochs), str(seed), *map(str, files)]
    return _run(arguments, scratch, lambda out: float(out.strip().splitlines()[-1]))


def _run(arguments: Sequence[str], at: Path, accuracy: Callable[[str], float]) -> Run:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTHONPYCACHEPREFIX": str(ENVIRONMENT / "bytecode"), "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(ROOT)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(arguments, cwd=at, env=environment, capture_output=True, text=True)
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(arguments[:6])} failed:\n{done.stderr[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall, cpu, accuracy(done.stdout))


def _print(name: str, pairs: Sequence[tuple[Run, Run]]) -> None:
    text = f"  {name:16}"
    for part in ("wall", "cpu"):
        ratios = [getattr(ours, part) / getattr(theirs, part) for ours, theirs in pairs]
        text += f" {part} {statistics.median(ratios):.2f} [{min(ratios):.2f} .. {max(ratios):.2f}]  "
    ours, theirs = ([pair[i] for pair in pairs] for i in (0, 1))
    seconds = " / ".join(f"{statistics.median(run.cpu for run in runs):.1f} s" for runs in (ours, theirs))
    accuracies = " / ".join(f"{statistics.median(run.accuracy for run in runs):.3f}" for runs in (ours, theirs))
    print(f"{text} {seconds}   accuracy {accuracies}", flush=True)


def _growth(python: Path, scratch: Path, folder: Path, method: str) -> None:
    """From one length of the stream to the next: what each further experience costs."""
    runs = []
    for length in LENGTHS:
        at = scratch / f"growth-{length}"
        files = sorted(at.glob("*.npz")) or _write(at, _slices(folder, length))
        runs.append(_pair(python, scratch, files, method, 1))
    for i, who in enumerate(("Everlearn", "Avalanche")):
        costs = [
            f"{1000 * (after[i].cpu - before[i].cpu) / (long - short):6.0f} ({short} to {long})"
            for short, long, before, after in zip(LENGTHS, LENGTHS[1:], runs, runs[1:], strict=False)
        ]
        print(f"  {method:8} {who:10} {'   '.join(costs)}", flush=True)


if __name__ == "__main__":
    main()

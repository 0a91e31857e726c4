"""Whole processes, in turn: `everlearn run` against a plain PyTorch script, the demo against two imports.

Python keeps compiled bytecode, as in an ordinary installation, in a folder that a first round fills; that round does
not count. Of wall and CPU time, the ratio of CPU time holds on a loaded machine as well.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "pipelines" / "examples"
PLAIN = Path(__file__).with_name("plain_split_mnist.py")
METHODS = {
    "naive": "strategy=[naive]",
    "ewc": "strategy=[{name: ewc, lambda: 100, estimate: empirical, samples: 2000}]",
    "replay": "strategy=[{name: replay, capacity: 500}]",
}
Times = tuple[float, float]


def main(rounds: int = 3) -> None:
    with tempfile.TemporaryDirectory(prefix="everlearn-start-") as name:
        scratch = Path(name)
        row = partial(_compare, scratch)
        print("Whole processes, in turn: ours / theirs, medians of ratios (wall, CPU), then CPU seconds of each")
        row("demo / import torch, mlflow", _demo, lambda at: _python(at, "-c", "import torch, mlflow"), rounds)
        row(
            "validate / import torch",
            lambda at: _everlearn(at, "validate", str(EXAMPLES / "split-digits.yaml")),
            lambda at: _python(at, "-c", "import torch"),
            rounds,
        )
        _by_part(scratch, "the demo", str(EXAMPLES / "split-digits.yaml"))
        data = mnist()
        if data is None:
            print("  Split MNIST is left out: EVERLEARN_DATA names no folder with mnist/ in it")
            return
        for method, setting in METHODS.items():
            row(
                f"run {method} / plain script",
                lambda at, setting=setting: _split_mnist(at, setting),
                lambda at, method=method: _python(at, str(PLAIN), str(data), method),
                rounds,
            )
            _by_part(scratch, f"run {method}", str(_without_search(scratch)), setting)


def _by_part(scratch: Path, name: str, *arguments: str) -> None:
    """Print where the time of a run goes, of one process."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.parts_of_a_run", *arguments],
            cwd=folder, env=_environment(scratch), capture_output=True, text=True, check=True,
        )  # fmt: skip
    print(f"    {name}, by part:", *done.stdout.splitlines(), sep="\n      ", flush=True)


def _environment(scratch: Path) -> dict[str, str]:
    """That of a person's: with bytecode, in a folder of these measurements; one thread."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    ours = {"PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(scratch / "bytecode"), "OMP_NUM_THREADS": "1"}
    return kept | ours


def _demo(at: Path) -> Times:
    return _everlearn(at, "run", str(EXAMPLES / "split-digits.yaml"))


def _split_mnist(at: Path, setting: str) -> Times:
    return _everlearn(at, "run", str(_without_search(at)), "--set", setting)


def _without_search(at: Path) -> Path:
    """The example without its search: the space is of strategies which these runs do not have."""
    text = (EXAMPLES / "split-mnist.yaml").read_text(encoding="utf-8").partition("\ntune:")[0]
    file = at / "split-mnist.yaml"
    file.write_text(text + "\n", encoding="utf-8")
    return file


def mnist() -> Path | None:
    folder = os.environ.get("EVERLEARN_DATA")
    places = [Path(folder), Path(folder) / "mnist"] if folder else []
    return next((place.resolve() for place in places if list(place.glob("train-images-idx3-ubyte*"))), None)


def _compare(
    scratch: Path, name: str, ours: Callable[[Path], Times], theirs: Callable[[Path], Times], rounds: int
) -> None:
    """Print one line: both in turn, each in a folder of its own, after a round that does not count."""
    pairs: list[tuple[Times, Times]] = []
    for _ in range(rounds + 1):
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            pairs.append((ours(Path(folder)), theirs(Path(folder))))
    pairs = pairs[1:]
    wall, cpu = ([a[i] / b[i] for a, b in pairs] for i in (0, 1))
    seconds = [statistics.median(pair[i][1] for pair in pairs) for i in (0, 1)]
    print(
        f"  {name:28} wall {statistics.median(wall):5.2f} [{min(wall):.2f} .. {max(wall):.2f}]"
        f"   CPU {statistics.median(cpu):5.2f} [{min(cpu):.2f} .. {max(cpu):.2f}]"
        f"   {seconds[0]:.1f} s / {seconds[1]:.1f} s",
        flush=True,
    )


def _everlearn(at: Path, *arguments: str) -> Times:
    return _python(at, "-m", "orchestrator.cli.main", *arguments)


def _python(at: Path, *arguments: str) -> Times:
    """Wall and CPU seconds of one Python process and its children, in the folder `at`."""
    environment = _environment(at.parent)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([sys.executable, *arguments], cwd=at, env=environment, stdout=subprocess.DEVNULL, check=True)
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()

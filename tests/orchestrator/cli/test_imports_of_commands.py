"""What each command loads: heavy packages stay out of the commands that do not need them.

Each command runs in a process of its own, once; so does a training as a trial of a search has it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.orchestrator.cli.lineages import write_lineage, write_pipeline

TORCH = ("torch", "torchvision")
OURS_LATER = ("sklearn", "matplotlib", "pandas", "pyarrow", "boto3", "botocore", "optuna")
COMPILER = ("torch._dynamo", "torch._inductor", "sympy")
RAY = ("ray",)
MLFLOW = ("mlflow",)

_COMMAND = """
import sys
from orchestrator.cli.main import invoke
status = invoke({arguments!r})
print([name for name in {heavy!r} if name in sys.modules], status, file=sys.stderr)
"""
_TRIAL = """
import sys
from orchestrator.tuning.train_trial import Job, train
from orchestrator.tuning.trial_resources import Needs
from pipelines.config.load import load_pipeline
from pipelines.data.streams import build_stream

pipeline = load_pipeline("small.yaml")
job = Job.of(pipeline, build_stream(pipeline.stream, pipeline.seed))
train(job, 2, Needs(1, {{"CPU": 1}}), lambda event: None)
print([name for name in {heavy!r} if name in sys.modules], len(job.lineage.leading(job.ids)), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--help"], (*TORCH, *OURS_LATER, *RAY, *MLFLOW, "numpy", "pydantic")),
        (["example"], (*TORCH, *OURS_LATER, *RAY, *MLFLOW, "numpy")),
        (["example", "split-digits"], (*TORCH, *OURS_LATER, *RAY, *MLFLOW, "numpy")),
        (["list", "strategies"], (*TORCH, *OURS_LATER, *RAY, *MLFLOW, "numpy")),
        (["list", "datasets"], (*TORCH, *OURS_LATER, *RAY, *MLFLOW, "numpy")),
        (["list", "models"], (*TORCH, *OURS_LATER, *RAY, *MLFLOW, "numpy")),
        (["list", "objectives"], (*TORCH, *OURS_LATER, *RAY, *MLFLOW, "numpy")),
        (["log", "small.yaml"], (*TORCH, *OURS_LATER, *RAY, *MLFLOW)),
        (["validate", "small.yaml"], (*OURS_LATER, *COMPILER, *RAY, *MLFLOW)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_loads_no_more_than_it_needs(arguments: list[str], heavy: tuple[str, ...], tmp_path: Path) -> None:
    write_pipeline(tmp_path)
    if arguments[0] == "log":
        write_lineage(tmp_path)
    assert _loaded(_COMMAND.format(arguments=arguments, heavy=heavy), tmp_path) == "[] 0"


def test_training_loads_nothing_that_shows_it_or_searches(tmp_path: Path) -> None:
    file = write_pipeline(tmp_path)
    file.write_text(file.read_text().replace("experiences: 3", "experiences: 5"))
    heavy = (*MLFLOW, *RAY, *COMPILER, *OURS_LATER)
    assert _loaded(_TRIAL.format(heavy=heavy), tmp_path) == "[] 2"


def _loaded(code: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=240)
    assert done.stderr.strip(), done.stdout
    return done.stderr.strip().splitlines()[-1]

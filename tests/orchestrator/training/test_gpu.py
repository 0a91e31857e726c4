"""Runs and searches on a GPU; skipped, with the reason, where there is none."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from orchestrator.training.driver import run
from orchestrator.tuning.search import tune
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.schema import Pipeline

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")


def pipeline(folder: Path, **more: Any) -> Pipeline:
    document: dict[str, Any] = {
        "name": "digits",
        "stream": {"dataset": "digits", "experiences": 2, "setting": "task-incremental"},
        "model": {"name": "mlp", "hidden": [32]},
        "strategy": [{"name": "ewc", "lambda": 10}, {"name": "replay", "capacity": 100}],
        "train": {"epochs": 5, "batch_size": 32, "precision": "bf16", "accumulate": 2},
        "scaling": {"gpu": True, "channels_last": True},
        "storage": str(folder / "store"),
        "tracking": {"uri": "http://127.0.0.1:9"},
    }
    return load_text(yaml.safe_dump({**document, **more}))


@pytest.mark.gpu
@pytest.mark.ray
@pytest.mark.slow
@needs_gpu
def test_a_run_on_a_gpu(tmp_path: Path) -> None:
    result = run(pipeline(tmp_path))
    assert result.trained == 2 and (result.metrics["average_accuracy"] or 0) > 0.8


@pytest.mark.gpu
@pytest.mark.ray
@pytest.mark.slow
@needs_gpu
def test_trials_share_a_gpu(tmp_path: Path) -> None:
    section = {"search": "grid", "resources": {"gpu": 0.5}, "space": {"strategy.ewc.lambda": {"grid": [1, 100]}}}
    result = tune(pipeline(tmp_path, tune=section))
    assert [trial.state for trial in result.trials] == ["done", "done"]


@pytest.mark.parametrize(
    ("scaling", "words"),
    [
        ({"gpu": True, "resources": {"GPU": 2}}, "a worker trains on one GPU, got 2"),
        ({"gpu": True, "workers": [1, 2], "resources": {"GPU": 0.5}}, "cannot communicate"),
    ],
)
def test_what_gpus_cannot_do_is_refused(scaling: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=words):
        pipeline(tmp_path, scaling=scaling)

import inspect

import pytest
import torch
from torch.optim import lr_scheduler

from pipelines.config.optimizers import _UNFIT, OPTIMIZERS, optimizer_model, scheduler_model
from pipelines.config.pipeline_errors import PipelineError
from strategies.loop.train_settings import OPTIMIZERS as TORCH
from strategies.loop.train_settings import TrainSettings, make_optimizer, make_scheduler

_BY_HAND = {
    "CyclicLR": {"base_lr": 0.01, "max_lr": 0.1, "cycle_momentum": False},
    "OneCycleLR": {"max_lr": 0.1},
    "StepLR": {"step_size": 2},
    "MultiStepLR": {"milestones": [2, 3]},
    "ExponentialLR": {"gamma": 0.9},
    "CosineAnnealingWarmRestarts": {"T_0": 2},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_option_is_one_of_torchs(name: str) -> None:
    options = set(optimizer_model(name).model_fields) - {"name", "reset"}
    assert options <= set(inspect.signature(TORCH[name]).parameters)


def test_the_learner_has_the_same_optimizers() -> None:
    assert set(OPTIMIZERS) == set(TORCH)


def test_an_optimizer_that_does_not_exist() -> None:
    with pytest.raises(PipelineError, match="unknown optimizer 'adm', did you mean 'adam'"):
        optimizer_model("adm")


def _schedulers() -> list[str]:
    return sorted(
        name
        for name, kind in vars(lr_scheduler).items()
        if isinstance(kind, type) and issubclass(kind, lr_scheduler.LRScheduler) and name not in _UNFIT
        if not name.startswith("_")
    )


@pytest.mark.parametrize("name", _schedulers())
def test_every_scheduler_runs_with_options_that_pass(name: str) -> None:
    options = _BY_HAND.get(name, {})
    scheduler_model(name).model_validate(options)
    settings = TrainSettings(scheduler=name, scheduler_options=options, optimizer_options={"lr": 0.1})
    optimizer = make_optimizer(settings, [torch.nn.Parameter(torch.zeros(2))])
    assert make_scheduler(settings, optimizer, steps=10) is not None


@pytest.mark.parametrize("name", sorted(_UNFIT))
def test_schedulers_that_a_file_cannot_describe(name: str) -> None:
    with pytest.raises(PipelineError, match="which a file cannot give"):
        scheduler_model(name)


def test_a_scheduler_that_does_not_exist() -> None:
    with pytest.raises(PipelineError, match="did you mean 'CosineAnnealingLR'"):
        scheduler_model("CosineAnealingLR")

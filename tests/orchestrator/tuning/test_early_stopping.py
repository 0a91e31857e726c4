"""Which of Ray Tune's schedulers a file asks for."""

import pytest
from ray.tune.schedulers import AsyncHyperBandScheduler, MedianStoppingRule

from orchestrator.tuning.early_stopping import early_stopping
from pipelines.config.load import load_text
from pipelines.config.sections.tune_section import TuneSpec

TEXT = "name: p\nstream: {dataset: digits, setting: class-incremental}\nmodel: mlp\nstrategy: {name: ewc}\n"


def spec(scheduler: str) -> TuneSpec:
    section = f"space: {{strategy.ewc.lambda: {{uniform: [1, 2]}}}}, metric: forgetting, scheduler: {scheduler}"
    tune = load_text(f"{TEXT}tune: {{{section}}}\n").tune
    assert tune is not None
    return tune


@pytest.mark.parametrize(("name", "kind"), [("median", MedianStoppingRule), ("asha", AsyncHyperBandScheduler)])
def test_by_its_name_and_for_the_direction_of_the_objective(name: str, kind: type) -> None:
    made = early_stopping(spec(name), 5)
    assert isinstance(made, kind)
    assert made.metric == "forgetting"
    # Ray keeps the direction where nothing tells of it.
    assert made._compare_op is min if isinstance(made, MedianStoppingRule) else made._metric_op == -1.0


@pytest.mark.parametrize(("name", "length"), [("none", 9), ("asha", 2), ("median", 1)])
def test_none_where_no_trial_is_to_be_stopped(name: str, length: int) -> None:
    assert early_stopping(spec(name), length) is None

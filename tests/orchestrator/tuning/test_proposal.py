from collections.abc import Callable

import pytest

from orchestrator.tuning.proposal import Proposal
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.schema import Pipeline


def test_ray_gives_it_back_as_it_was() -> None:
    proposal = Proposal(7, {"model.hidden": [8, 4], "strategy.ewc.lambda": 0.1}, [3, 4], document=1)
    assert Proposal.of(proposal.to_config()) == proposal


def test_a_pipeline_for_each_seed(make: Callable[..., Pipeline]) -> None:
    first, second = Proposal(0, {"strategy.ewc.lambda": 5}, [1, 2]).pipelines(make(train={"epochs": 2}))
    assert (first.seed, second.seed) == (1, 2)
    flat = first.flat()
    assert flat["strategy.ewc.lambda"] == 5 and flat["train.epochs"] == 2
    with pytest.raises(PipelineError):
        Proposal(0, {"strategy.ewc.lambda": -1}, [0]).pipelines(make())

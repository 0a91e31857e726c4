"""Batches too small to take statistics of, and which parts of a batch they are taken of.

Covers: `strategies/loop/placeholder.py`
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from pipelines.models.global_batch_norm import convert
from strategies.api.data import Batch, Places
from strategies.api.strategy import Strategy
from strategies.api.strategy_errors import StrategyError
from strategies.loop.learner import Learner
from strategies.loop.process_group import Group
from strategies.loop.train_settings import TrainSettings
from strategies.methods.replay import Replay, ReplayOptions
from tests.processes import Processes, WorkerError
from tests.strategies.models import Demanding, build
from tests.strategies.streams import stream


def learner(*strategies: Strategy) -> Learner:
    return Learner(convert(Demanding(3)), strategies, outputs=3, seed=3)


def train(settings: TrainSettings, *strategies: Strategy, model: nn.Module | None = None) -> int:
    """Steps that were done; 25 samples."""
    experience = stream("domain-incremental")[0][0]
    own = learner(*strategies)
    own.model = own.model if model is None else model
    done = 0
    for done in own.steps(experience, settings):  # noqa: B007 (the last one is returned)
        pass
    return done


def test_a_last_batch_of_one_is_refused_before_the_first_step_with_the_setting_that_helps() -> None:
    with pytest.raises(StrategyError) as refused:
        train(TrainSettings(batch_size=12))
    assert "experience 0: a batch of one sample is too small for the batch normalisation of layer 'norm'" in str(
        refused.value
    )
    assert "25 samples: set train.last_batch: merge (into the batch before) or drop" in str(refused.value)
    assert train(TrainSettings(batch_size=12, last_batch="merge")) == 2
    assert train(TrainSettings(batch_size=12, last_batch="drop")) == 2
    assert train(TrainSettings(batch_size=11)) == 3


def test_a_batch_that_a_strategy_might_have_made_larger_is_refused_when_it_comes() -> None:
    with pytest.raises(StrategyError, match=r"25 samples: set train\.last_batch: merge"):
        train(TrainSettings(batch_size=12), Replay(ReplayOptions(capacity=5)))


def test_one_image_is_enough_for_the_normalisation_of_its_pixels() -> None:
    images = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(32, 3))
    assert train(TrainSettings(batch_size=12), model=convert(images)) == 3


def _refused() -> str:
    try:
        train(TrainSettings(batch_size=12))
    except StrategyError as refusal:
        return str(refusal)
    return ""


def test_every_rank_says_so(processes: Callable[[int], Processes]) -> None:
    assert all("train.last_batch: merge" in text for text in processes(2).run(_refused))


def _stochastic_depth() -> None:
    """Every rank leaves out other layers, so that no gradient may be waited for in vain."""
    experiences, outputs = stream("class-incremental")
    own = Learner(build("stochastic-depth", outputs), [], outputs=outputs, seed=3)
    for experience in experiences:
        own.learn(experience, TrainSettings(2, None, 6))
    assert all(p.isfinite().all() for p in own.model.parameters())


def test_layers_that_some_passes_leave_out_are_learned_by_several_ranks(processes: Callable[[int], Processes]) -> None:
    try:
        processes(2).run(_stochastic_depth)
    except WorkerError as error:
        raise AssertionError(str(error)) from error


@pytest.mark.parametrize("parts", [2, 3, 5])
def test_the_parts_of_a_batch_are_the_same_at_any_number_of_ranks(parts: int) -> None:
    """7 samples of the experience, 5 that a strategy adds."""

    def content(ranks: int) -> list[set[int]]:
        found: list[set[int]] = [set() for _ in range(parts)]
        for rank in range(ranks):
            own, added = (torch.arange(n)[Group(rank, ranks).share(n)] for n in (7, 5))
            first = Batch(own[:, None].float(), own, own, None, 7.0, len(own), 7, {}, 7, Places.first(7, rank, ranks))
            more = added + 100
            whole = first.joined(more[:, None].float(), more, more, added=5, weights=None, total_weight=12.0)
            for place, part in zip(found, whole.split(parts), strict=True):
                assert not place & {*part.targets.tolist()}
                assert int((part.targets < 100).sum()) == part.current
                place |= {*part.targets.tolist()}
        return found

    alone = content(1)
    assert max(map(len, alone)) - min(map(len, alone)) <= 1
    assert all(content(ranks) == alone for ranks in (2, 3, 4, 8))

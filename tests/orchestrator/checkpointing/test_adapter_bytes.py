"""A further commit of an adapter method stores the adapter, the head and their optimiser; the model is stored once."""

from __future__ import annotations

import hashlib

import pytest
import torch
from torch import nn

from orchestrator.storage.tensors import encode
from strategies.loop.learner import Learner
from strategies.registry import BUILT_IN
from tests.strategies.cases import TRAIN, TrainSettings, make_strategy
from tests.strategies.streams import PIXELS, stream

OVERHEAD = 50_000
WIDE = 600
ADAPTERS = [name for name in BUILT_IN if type(make_strategy(name)).family == "adapters"]


def blobs(learner: Learner) -> dict[str, int]:
    """What a commit stores: bytes by content."""
    stored = [encode(tensors) for tensors in learner.state_dict().values()]
    return {hashlib.sha256(data).hexdigest(): len(data) for data in stored}


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_commit_is_as_large_as_what_learns_and_its_optimiser(name: str) -> None:
    steps, outputs = stream("task-incremental")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, WIDE), nn.ReLU(), nn.Linear(WIDE, 64), nn.Linear(64, outputs))
    base = sum(p.nbytes for p in model.parameters())
    learner = Learner(model, [make_strategy(name)], outputs=outputs, seed=3)
    before: dict[str, int] = {}
    for step in steps:
        learner.learn(step, TrainSettings(**TRAIN))
        after = blobs(learner)
        new = sum(size for content, size in after.items() if content not in before)
        learns = sum(p.nbytes for p in learner.model.parameters() if p.requires_grad)
        # A router keeps a mean for each class, and one covariance, of 64 features in double precision.
        router = sum(t.nbytes for n, t in learner.model.state_dict().items() if n.startswith("router."))
        assert router <= 8 * (64 * 65 // 2 + 66 * outputs)
        assert new <= 3 * learns + router + OVERHEAD + (0 if before else base)
        assert 3 * learns + router + OVERHEAD < base + 3 * learns
        before |= after
    assert base > 200_000

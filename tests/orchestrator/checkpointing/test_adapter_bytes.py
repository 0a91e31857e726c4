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
WIDE, FEATURES = 600, 384
ADAPTERS = [name for name in BUILT_IN if type(make_strategy(name)).family == "adapters"]
CASES = [(name, {}) for name in ADAPTERS] + [
    (name, {"per": "experience"}) for name in ADAPTERS if "per" in type(make_strategy(name)).Options.model_fields
]


def blobs(learner: Learner) -> dict[str, int]:
    """What a commit stores: bytes by content."""
    stored = [encode(tensors) for tensors in learner.state_dict().values()]
    return {hashlib.sha256(data).hexdigest(): len(data) for data in stored}


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_commit_is_as_large_as_what_learns_and_its_optimiser(name: str, options: dict[str, str]) -> None:
    steps, outputs = stream("task-incremental")
    torch.manual_seed(0)
    layers = [nn.Linear(PIXELS, WIDE), nn.ReLU(), nn.Linear(WIDE, FEATURES), nn.Linear(FEATURES, outputs)]
    model = nn.Sequential(nn.Flatten(), *layers)
    base = sum(p.nbytes for p in model.parameters())
    learner = Learner(model, [make_strategy(name, options)], outputs=outputs, seed=3)
    before: dict[str, int] = {}
    for step in steps:
        learner.learn(step, TrainSettings(**TRAIN))
        after = blobs(learner)
        new = sum(size for content, size in after.items() if content not in before)
        learns = sum(p.nbytes for p in learner.model.parameters() if p.requires_grad)
        assert new <= 3 * learns + OVERHEAD + (0 if before else base)
        before |= after
    assert len(before) > len(steps) and base > 10 * OVERHEAD

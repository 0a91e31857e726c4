"""Models of several commits share what their commits share, and answer as models of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from orchestrator.checkpointing.load_model import load_model
from orchestrator.checkpointing.shared_weights import SharedWeights, shared_bytes
from pipelines.config.load import load_text
from tests.orchestrator.serving.adapters import STRATEGIES, Adapted, chains
from tests.orchestrator.train_stream import train

__all__ = ["chains"]


@pytest.mark.parametrize("kind", STRATEGIES)
def test_the_frozen_model_is_read_once_and_shared(chains: dict[str, Adapted], kind: str) -> None:
    chain = chains[kind]
    weights = SharedWeights(chain.pipeline)
    models = [weights.load(commit) for commit in chain.commits]
    assert weights.load(chain.commits[0]) is models[0]
    parts = {
        blob.sha256 for c in chain.lineage.chain(chain.commits[-1]) for n, blob in c.blobs.items() if "model." in n
    }
    assert weights.reads == len(parts)
    inputs = torch.randn(4, 1, 8, 8)
    for commit, model in zip(chain.commits, models, strict=True):
        alone = load_model(chain.pipeline, commit)
        assert not model.training and model.state_dict().keys() == alone.state_dict().keys()
        with torch.no_grad():
            assert torch.equal(model(inputs), alone(inputs))
    base = [name for name in models[0].state_dict() if name.endswith("base_layer.weight")]
    for name in base:
        places = {model.state_dict()[name].data_ptr() for model in models}
        assert len(places) == 1
    together, apart = shared_bytes(list(models))
    assert together < 0.7 * apart
    del models, model, alone
    assert len(weights._parts) == len(weights._models) == 0


def test_models_without_a_frozen_part_are_loaded_as_ever(tmp_path: Path) -> None:
    pipeline = load_text(
        f"name: d\nmodel: {{name: mlp, hidden: [6]}}\nstorage: {str(tmp_path)!r}\n"
        "stream: {dataset: digits, experiences: 5}\ntrain: {steps: 1, batch_size: 20}\n"
    )
    commit, weights, inputs = train(pipeline)[0], SharedWeights(pipeline), torch.randn(2, 1, 8, 8)
    assert torch.equal(weights.load(commit)(inputs), load_model(pipeline, commit)(inputs)) and weights.reads == 0

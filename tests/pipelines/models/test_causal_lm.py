"""Causal language models of transformers as a pipeline's model."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pipelines.config.pipeline_errors import PipelineError
from pipelines.models.build_model import build_model
from tests.pipelines.models.pretrained import save_tiny_llama

TOKENS = torch.tensor([[1, 3, 4, 5, -1, -1], [7, 8, 9, 10, 11, 3]], dtype=torch.int32)


@pytest.fixture(scope="module", params=["tied", "apart"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llama(tmp_path_factory.mktemp(request.param), tied=request.param == "tied")


def build(folder: Path, outputs: int = 12, **options: Any) -> nn.Module:
    settings = {"pretrained": str(folder), "head": "causal-lm", **options}
    return build_model("transformers", settings, (6,), outputs, seed=1).eval()


def test_logits_are_those_of_transformers_for_each_sequence_alone_and_0_at_padding(folder: Path) -> None:
    import transformers

    reference = transformers.LlamaForCausalLM.from_pretrained(folder).eval()
    found = build(folder)(TOKENS)
    assert found.shape == (2, 12, 6)
    for row, logits in zip(TOKENS, found, strict=True):
        tokens = row[row >= 0].long()
        expected = reference(input_ids=tokens[None]).logits[0, :, :12].T
        torch.testing.assert_close(logits[:, : len(tokens)], expected)
        assert not logits[:, len(tokens) :].any()


def test_shared_weights_are_kept_once_and_stay_shared(folder: Path) -> None:
    model = copy.deepcopy(build(folder))
    tied = "tied" in str(folder)
    assert sum("lm_head" in name for name in model.state_dict()) == (0 if tied else 1)
    before = model(TOKENS)
    with torch.no_grad():
        model.get_parameter("body.model.model.embed_tokens.weight")[3] += 1.0
    after = model(TOKENS)
    assert bool((after[:, 3] != before[:, 3])[0, 0]) == tied  # the first position does not see token 3


def test_hidden_states_that_are_computed_again_give_the_same_gradients(folder: Path) -> None:
    gradients = []
    for again in (False, True):
        model = build(folder, gradient_checkpointing=again).train()
        model(TOKENS).square().sum().backward()
        gradients.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(*gradients)


def test_more_tokens_than_the_model_knows_and_a_frozen_model_are_refused(folder: Path) -> None:
    with pytest.raises(PipelineError, match="knows 16 tokens, and the data have 17"):
        build(folder, outputs=17)
    with pytest.raises(PipelineError, match="is for head: sequence-classification"):
        build(folder, frozen=True)

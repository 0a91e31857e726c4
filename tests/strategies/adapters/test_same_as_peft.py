"""What PEFT has, too, gives the same numbers as PEFT."""

from __future__ import annotations

import warnings

import pytest
import torch

from strategies.adapters.soft_prompts import PromptedModel, token_embedding
from strategies.networks.weight_averages import sums_of_task_vectors, ties, trimmed
from strategies.projection.subspace_linear import merge, subspace_layers
from tests.strategies.adapters.test_soft_prompts import TOKENS, Causal
from tests.strategies.networks.test_weight_averages import changes
from tests.strategies.projection.test_subspace_linear import INPUTS, decomposed, model, train


def test_logits_are_those_of_peft_s_prompt_tuning() -> None:
    peft = pytest.importorskip("peft")
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own = Causal()
        config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
        theirs = peft.get_peft_model(Causal().model, config).eval()
        name = token_embedding(own, TOKENS, "prompt")
        assert name == "model.model.embed_tokens"
        prompted = PromptedModel(own, name)
        prompted.add_prompt("a", 3, TOKENS, seed=1)
        rows = prompted.prompts.prompts["a"]
        embedding = Causal().model.get_input_embeddings().weight
        assert all(bool((row == embedding).all(1).any()) for row in rows)  # as tokens of the vocabulary
        theirs.prompt_encoder["default"].embedding.weight.copy_(rows)
        expected = theirs(input_ids=TOKENS.clamp(min=0), attention_mask=(TOKENS >= 0).long()).logits[:, 3:]
        found = prompted(TOKENS).transpose(1, 2)
        torch.testing.assert_close(found[TOKENS >= 0], expected[TOKENS >= 0])
        prompted.prompts.active = ()
        torch.testing.assert_close(prompted(TOKENS), Causal()(TOKENS))


def test_it_learns_what_peft_s_osf_learns() -> None:
    peft = pytest.importorskip("peft")
    own = decomposed(preserve=0.4)  # of 6 and of 3 directions: 2 and 1
    sizes = [layer.U_high.shape[1] for _, layer in subspace_layers(own)]
    assert sizes == [2, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = peft.OSFConfig(target_modules=["0", "2"], rank_pattern={"0": 2, "2": 1})
        theirs = peft.get_peft_model(model(), config)
    torch.testing.assert_close(own(INPUTS), model()(INPUTS))
    train(own, torch.optim.SGD)
    train(theirs, torch.optim.SGD)
    torch.testing.assert_close(own(INPUTS), theirs(INPUTS), rtol=1e-4, atol=1e-5)
    merge(own)
    assert not list(subspace_layers(own))
    torch.testing.assert_close(own(INPUTS), theirs(INPUTS), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("density", [0.05, 0.5, 0.95])
def test_changes_are_merged_as_by_peft_s_ties(density: float) -> None:
    merging = pytest.importorskip("peft.utils.merge_utils")
    own = changes(3, 1)
    expected = merging.ties(own, torch.ones(3), density)
    torch.testing.assert_close(ties(sums_of_task_vectors([trimmed(change, density) for change in own])), expected)

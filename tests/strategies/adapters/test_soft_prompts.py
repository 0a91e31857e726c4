"""Soft prompts in front of a text, added to other inputs, stored, and refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from strategies.adapters.soft_prompts import PromptedModel, stored_prompts, token_embedding
from strategies.api.strategy_errors import StrategyError

TOKENS = torch.tensor([[3, 5, 2, 7], [1, 4, -1, -1]])


class Causal(nn.Module):
    """Padding is -1; (n, length) to (n, tokens, length)."""

    def __init__(self) -> None:
        super().__init__()
        transformers = pytest.importorskip("transformers")
        torch.manual_seed(0)
        sizes = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2, "vocab_size": 11}
        heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 9}
        self.model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, **heads)).eval()

    def forward(self, tokens: Tensor) -> Tensor:
        there = (tokens >= 0).long()
        logits: Tensor = self.model(input_ids=tokens.clamp(min=0), attention_mask=there).logits
        return logits.transpose(1, 2)


def test_the_newest_prompt_stands_in_front_of_the_frozen_earlier_ones() -> None:
    own = Causal()
    prompted = PromptedModel(own, token_embedding(own, TOKENS, "prompt"))
    for number, name in enumerate(("0", "1")):
        prompted.add_prompt(name, 2 + number, TOKENS, seed=number)
    prompts = prompted.prompts.prompts
    assert [prompts[name].requires_grad for name in ("0", "1")] == [False, True]
    seen: list[Tensor] = []
    own.model.model.layers[0].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    prompted(TOKENS)
    torch.testing.assert_close(seen[0][0, :5], torch.cat([prompts["1"], prompts["0"]]))
    state = prompted.state_dict()
    again = PromptedModel(Causal(), "model.model.embed_tokens")
    assert stored_prompts(state) == ("body.model.model.embed_tokens", ["0", "1"])
    for name in ("0", "1"):
        again.restore_prompt(name, state)
    again.load_state_dict(state)
    assert torch.equal(again(TOKENS), prompted(TOKENS))
    wrong = {name: torch.zeros(2, 3) for name in state}
    with pytest.raises(ValueError, match="prompt '0' is missing or has another shape"):
        again.restore_prompt("0", wrong)


def test_alpha_leaves_the_beginning_as_it_is_and_multiplies_what_is_learned() -> None:
    own, slow = (PromptedModel(Causal(), "model.model.embed_tokens", alpha) for alpha in (1.0, 0.125))
    for model in (own, slow):
        model.add_prompt("0", 2, TOKENS, seed=3)
    assert torch.equal(own(TOKENS), slow(TOKENS))
    with torch.no_grad():
        own.prompts.prompts["0"] += 0.125
        slow.prompts.prompts["0"] += 1
    torch.testing.assert_close(own(TOKENS), slow(TOKENS))
    inputs = torch.randn(3, 2, 4)
    added = PromptedModel(nn.Flatten(), "", 0.5)
    added.add_prompt("a", 9, inputs, seed=1)
    nn.init.ones_(added.prompts.prompts["a"])
    assert torch.equal(added(inputs), (inputs + 0.5).flatten(1))


def test_other_inputs_get_a_tensor_added() -> None:
    inputs = torch.randn(3, 2, 4)
    prompted = PromptedModel(nn.Flatten(), "")
    prompted.add_prompt("a", 9, inputs, seed=1)
    assert torch.equal(prompted(inputs), inputs.flatten(1))
    nn.init.normal_(prompted.prompts.prompts["a"])
    assert torch.equal(prompted(inputs), (inputs + prompted.prompts.prompts["a"]).flatten(1))


def test_tokens_that_no_embedding_reads_are_refused() -> None:
    with pytest.raises(StrategyError, match=r"no torch\.nn\.Embedding of the model reads them: use \{name: lora\}"):
        token_embedding(nn.Flatten(), TOKENS, "prompt")

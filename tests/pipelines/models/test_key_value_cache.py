"""With the cache only the newest token of a text passes, and the logits are those without the cache."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipelines.models import key_value_cache
from pipelines.models.causal_lm import CausalLM
from pipelines.models.greedy_decoding import next_tokens
from pipelines.models.key_value_cache import KeyValueCache, current_cache, generating
from strategies.adapters.low_rank import adapt, add_adapter, target_names
from strategies.adapters.soft_prompts import PromptedModel

VOCABULARY = 11
SIZES = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": VOCABULARY}
GROUPS = {**SIZES, "intermediate_size": 12, "num_key_value_heads": 1, "max_position_embeddings": 40}
GPT2 = {"n_embd": 8, "n_layer": 2, "n_head": 2, "n_positions": 40, "vocab_size": VOCABULARY}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "tied": ("LlamaForCausalLM", {**GROUPS, "tie_word_embeddings": True}),
    "window": ("MistralForCausalLM", {**GROUPS, "sliding_window": 3}),
    "eager": ("Qwen2ForCausalLM", {**GROUPS, "attn_implementation": "eager"}),
    "positions": ("GPT2LMHeadModel", GPT2),
}


def build(name: str, options: dict[str, Any]) -> CausalLM:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(3)
    kind = getattr(transformers, name)
    model = kind(kind.config_class(**options))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.5)
    return CausalLM(model, VOCABULARY - 1, name).eval()


def padded(sequences: list[list[int]]) -> Tensor:
    longest = max(map(len, sequences))
    return torch.tensor([own + [-1] * (longest - len(own)) for own in sequences], dtype=torch.int32)


def behind(logits: Tensor, sequences: list[list[int]]) -> Tensor:
    return torch.stack([row[:, len(own) - 1] for row, own in zip(logits, sequences, strict=True)])


def prompted() -> nn.Module:
    model = PromptedModel(build(*MODELS["tied"]), "model.model.embed_tokens")
    model.add_prompt("stream", 3, padded([[1]]), seed=4)
    return model


def adapted() -> nn.Module:
    model = build(*MODELS["tied"])
    adapt(model, target_names(model, ["q_proj", "v_proj"], "", "lora"), 16.0)
    add_adapter(model, "stream", 2, 5)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_()
    return model


@pytest.mark.parametrize("kind", [*MODELS, "prompt", "lora"])
@pytest.mark.parametrize("room", [1 << 30, 700, 0])
def test_logits_are_those_of_a_text_that_is_read_anew(kind: str, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts of several lengths, some twice; they grow, end, come in another order, and new ones come."""
    monkeypatch.setattr(key_value_cache, "MOST_BYTES", room)
    monkeypatch.setattr(key_value_cache, "_MOST_TOKENS", 12)
    model = prompted() if kind == "prompt" else adapted() if kind == "lora" else build(*MODELS[kind])
    draw = random.Random(kind)
    texts = [[draw.randrange(VOCABULARY) for _ in range(length)] for length in (1, 7, 3, 3, 5)]
    texts.append(list(texts[1]))
    with torch.no_grad():
        expected: list[Tensor] = []
        asked: list[list[list[int]]] = []
        for step in range(8):
            asked.append([list(own) for own in texts])
            expected.append(behind(model(padded(texts)), texts))
            texts = draw.sample(texts, len(texts) - step % 2) + ([[1, 2]] if step == 4 else [])
            texts = [[*own, draw.randrange(VOCABULARY)] for own in texts]
        with generating():
            for own, logits in zip(asked, expected, strict=True):
                torch.testing.assert_close(behind(model(padded(own)), own), logits, rtol=1e-4, atol=1e-4)
        whole = model(padded(asked[0]))
        assert current_cache() is None and not torch.equal(whole[1, :, 0], whole[1, :, 6])


@pytest.mark.parametrize("kind", MODELS)
def test_of_a_growing_text_one_token_passes(kind: str) -> None:
    model, passed = build(*MODELS[kind]), []
    model.model.get_decoder().register_forward_pre_hook(
        lambda _, args, kwargs: passed.append(tuple(kwargs["inputs_embeds"].shape[:2])), with_kwargs=True
    )
    texts = [[1, 2, 3], [4], [5, 6]]
    with torch.no_grad(), generating():
        for _ in range(4):
            following = next_tokens(model, texts, VOCABULARY - 1)
            texts = [[*own, token] for own, token in zip(texts, following, strict=True)]
    assert passed == [(3, 3), (3, 1), (3, 1), (3, 1)]


def test_a_model_with_a_state_that_is_no_attention_is_read_anew() -> None:
    options = {**SIZES, "state_size": 4, "expand": 2, "time_step_rank": 2}
    model = build("MambaForCausalLM", options)
    tokens = padded([[1, 2, 3], [4]])
    with torch.no_grad():
        assert KeyValueCache().last_logits(model.model, tokens) is None
        expected = model(tokens)
        with generating():
            torch.testing.assert_close(model(tokens), expected)

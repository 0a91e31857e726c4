"""Tiny pretrained models in a folder, with their tokenizer: random weights, a dozen words."""

from __future__ import annotations

from pathlib import Path

import pytest

WORDS = ["a", "good", "bad", "film", "day", "the", "was", "not", "very", "dull"]


def save_tiny_bert(folder: Path, *, positions: int = 16) -> Path:
    """A BERT with two layers of eight units, and a word tokenizer."""
    tokenizers, transformers = pytest.importorskip("tokenizers"), pytest.importorskip("transformers")
    import torch

    vocabulary = {word: number for number, word in enumerate(["[UNK]", "[CLS]", *WORDS])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12,
        max_position_embeddings=positions,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        transformers.BertModel(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def save_word_tokenizer(folder: Path) -> Path:
    """The tokenizer of `save_tiny_llama`, without a model."""
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {word: number for number, word in enumerate(["[UNK]", "[END]", *WORDS])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"eos_token": "[END]"}')
    return folder


def save_tiny_llama(folder: Path, *, tied: bool = True) -> Path:
    """A causal language model with two layers of eight units, and a word tokenizer."""
    transformers = pytest.importorskip("transformers")
    import torch

    config = transformers.LlamaConfig(
        vocab_size=16, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        intermediate_size=12, max_position_embeddings=32, tie_word_embeddings=tied,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return save_word_tokenizer(folder)

"""Generation with a language model: with a key-value cache, against reading the whole text for each token.

`make bench ARGS=generation`: random weights in the sizes of SmolLM2-135M; needs everlearn[llm].
"""

from __future__ import annotations

import time
from contextlib import nullcontext

import torch

from pipelines.models.causal_lm import CausalLM
from pipelines.models.greedy_decoding import next_tokens
from pipelines.models.key_value_cache import generating

VOCABULARY, READ, WRITTEN = 49152, 64, 16
SIZES = {
    "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
    "num_key_value_heads": 3, "vocab_size": VOCABULARY, "tie_word_embeddings": True,
}  # fmt: skip


@torch.inference_mode()
def seconds(model: CausalLM, texts: list[list[int]], kept: bool) -> tuple[float, list[list[int]]]:
    """CPU seconds, and the new tokens of each text."""
    texts, clock = [list(text) for text in texts], time.process_time()
    with generating() if kept else nullcontext():
        for _ in range(WRITTEN):
            for text, token in zip(texts, next_tokens(model, texts, VOCABULARY), strict=True):
                text.append(token)
    return time.process_time() - clock, [text[READ:] for text in texts]


def main() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    model = CausalLM(LlamaForCausalLM(LlamaConfig(**SIZES)), VOCABULARY, "random weights").eval()
    print(f"{READ} tokens read, {WRITTEN} written, of a model of 135 million weights: CPU time, paired")
    for number in (1, 4):
        texts = torch.randint(VOCABULARY, (number, READ)).tolist()
        (plain, expected), (kept, found) = seconds(model, texts, False), seconds(model, texts, True)
        assert found == expected
        print(
            f"  {number} texts: {plain:.1f} s uncached, {kept:.1f} s cached: {plain / kept:.1f} times",
            flush=True,
        )


if __name__ == "__main__":
    main()

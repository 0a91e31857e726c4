"""Causal language models: a logit of each token at each position."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from pipelines.config.pipeline_errors import PipelineError
from pipelines.models.key_value_cache import current_cache


class CausalLM(nn.Module):
    """A causal language model of transformers, for sequences that are padded at the end with -1.

    No attention mask is given: what comes before a position does not depend on the padding behind it. Logits at padding
    are 0. Within `key_value_cache.generating` those of the last token stand at all positions.

    Args:
        model: of `transformers.AutoModelForCausalLM`.
        outputs: tokens of the tokenizer; a model may have room for more, which are left out.
        name: of the model, for the error.

    Raises:
        PipelineError: the tokenizer has more tokens than the model.
    """

    def __init__(self, model: Any, outputs: int, name: str) -> None:
        super().__init__()
        there = int(model.config.vocab_size)
        if outputs > there:
            raise PipelineError(
                f"model: {name} knows {there} tokens, and the data have {outputs}: set dataset.tokenizer to the "
                "model's own"
            )
        head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
        if head is not None and head.weight is embedding.weight:
            model.set_output_embeddings(TiedHead(embedding, head.bias))
        model.config.use_cache = False
        self.model = model
        self.outputs = outputs

    def forward(self, tokens: Tensor) -> Tensor:
        """(n, length) of whole numbers to (n, outputs, length)."""
        cache = None if self.training else current_cache()
        last = None if cache is None else cache.last_logits(self.model, tokens)
        if last is not None:
            return last[:, : self.outputs, None].expand(-1, -1, tokens.shape[1])
        logits: Tensor = self.model(input_ids=tokens.clamp(min=0).long(), use_cache=False).logits
        there = (tokens >= 0)[:, :, None]
        return logits[:, :, : self.outputs].masked_fill(~there, 0.0).transpose(1, 2)


class TiedHead(nn.Module):
    """A head whose weights are those of an embedding: a commit holds them once."""

    def __init__(self, embedding: nn.Module, bias: nn.Parameter | None) -> None:
        super().__init__()
        self._embedding = [embedding]  # a list hides it: it is a part of the model elsewhere
        self.bias = bias

    @property
    def weight(self) -> Any:
        """(tokens, d) of the embedding: some models ask for its type."""
        return self._embedding[0].weight

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., d) to (..., tokens)."""
        return F.linear(hidden, self.weight, self.bias)

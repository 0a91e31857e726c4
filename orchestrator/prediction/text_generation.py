"""A causal language model continues texts by greedy decoding: the most probable token at each place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from orchestrator.prediction.predicting import Predicting
    from pipelines.data.datasets.document_reader import DocumentReader


class Continuation(NamedTuple):
    """What a model wrote behind a prompt.

    Attributes:
        text: without the prompt.
        tokens: of it.
        ended: whether the model wrote the token that ends a document, which is no part of the text; else a limit was
            reached.
    """

    text: str
    tokens: int
    ended: bool


@torch.no_grad()
def continue_texts(
    model: Predicting, reader: DocumentReader, prompts: Sequence[Sequence[int]], most: Sequence[int]
) -> list[Continuation]:
    """What a model writes behind prompts, in their order; one pass for the next token of all of them.

    A causal model of transformers keeps the keys and values of what it has read, and then reads the new tokens alone.

    Args:
        model: of objective: next-token.
        reader: of the dataset that it was trained on.
        prompts: as tokens, of each at least one.
        most: new tokens for each prompt, at least 1.
    """
    from pipelines.models.greedy_decoding import next_tokens
    from pipelines.models.key_value_cache import generating

    encoder, end = reader.encoder
    texts, ended = [list(prompt) for prompt in prompts], [False] * len(prompts)
    going = list(range(len(texts)))
    with generating():
        while going:
            following = next_tokens(model, [texts[place] for place in going], reader.vocabulary)
            for place, token in zip(going, following, strict=True):
                if token == end:
                    ended[place] = True
                else:
                    texts[place].append(token)
            written = {place: len(texts[place]) - len(prompts[place]) for place in going}
            going = [place for place in going if not ended[place] and written[place] < most[place]]
    new = [text[len(prompt) :] for text, prompt in zip(texts, prompts, strict=True)]
    return [Continuation(encoder.decode(own), len(own), done) for own, done in zip(new, ended, strict=True)]

"""From documents, as tokens, to sequences of one length with the token that follows each position as its target.

Inputs and targets are (n, length) int32. `PADDING` stands behind the end of a sequence in both, and in the targets also
where nothing is learned.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

PADDING = -1
Tokens = NDArray[np.int32]


def pack(documents: Sequence[Sequence[int]], length: int, end: int, *, ends: bool = True) -> tuple[Tokens, Tokens]:
    """Documents one behind the other, each with `end` behind it, cut into blocks; the last without it unless `ends`.

    Each token but the first is the target of one position, and none is left out: the last block is padded. Within a
    block a document sees the ones before it.
    """
    whole = np.fromiter((token for document in documents for token in (*document, end)), dtype=np.int32)
    whole = whole if ends else whole[:-1]
    blocks = max(0, -(-(len(whole) - 1) // length))
    if not blocks:
        nothing = np.zeros((0, length), dtype=np.int32)
        return nothing, nothing
    padded = np.full(blocks * length + 1, PADDING, dtype=np.int32)
    padded[: len(whole)] = whole
    inputs, targets = padded[:-1].copy(), padded[1:].copy()
    inputs[len(whole) - 1 :] = PADDING  # the last token has none behind it
    return inputs.reshape(blocks, length), targets.reshape(blocks, length)


def one_by_one(
    prompts: Sequence[Sequence[int]], texts: Sequence[Sequence[int]], length: int, end: int
) -> tuple[Tokens, Tokens]:
    """A sequence for each text, behind its prompt and with `end` behind it; longer ones are cut.

    The tokens of prompts are no targets: only the text is learned.
    """
    inputs = np.full((len(texts), length), PADDING, dtype=np.int32)
    targets = inputs.copy()
    for row, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        tokens = np.array([*prompt, *text, end], dtype=np.int32)
        known, following = tokens[:-1][:length], tokens[1:][:length]
        inputs[row, : len(known)] = known
        first = max(0, len(prompt) - 1)
        targets[row, first : len(following)] = following[first:]
    return inputs, targets


def marked(texts: Sequence[Sequence[int]], learned: Sequence[Sequence[int]], length: int) -> tuple[Tokens, Tokens]:
    """A sequence for each text; longer ones are cut. Only the tokens that are marked are targets."""
    inputs = np.full((len(texts), length), PADDING, dtype=np.int32)
    targets = inputs.copy()
    for row, (text, marks) in enumerate(zip(texts, learned, strict=True)):
        known, following = text[:-1][:length], text[1:][:length]
        inputs[row, : len(known)] = known
        targets[row, : len(following)] = np.where(marks[1:][:length], following, PADDING)
    return inputs, targets

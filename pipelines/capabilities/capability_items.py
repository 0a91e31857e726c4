"""Sets of items of a capability: what the model is asked, as tensors."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from pipelines.config.sections.capability_section import Kind
from pipelines.data.packing import PADDING


@dataclass(frozen=True, eq=False)
class TokenItem:
    """Sequences whose likelihood counts: the choices behind their prompt, or the parts of a document.

    Attributes:
        inputs, targets: (m, length) int32, as a language model learns them; targets of a prompt are padding.
        right: the choice that is right; None: the item is a document.
    """

    inputs: Tensor
    targets: Tensor
    right: int | None = None


@dataclass(frozen=True, eq=False)
class WritingItem:
    """A prompt, behind which an answer is to be written.

    Attributes:
        prompt: its tokens.
        answer: without spaces around it.
        longest: tokens that are written at most.
    """

    prompt: tuple[int, ...]
    answer: str
    longest: int


@dataclass(frozen=True, eq=False)
class ClassItem:
    """An input of a classifier.

    Attributes:
        inputs: (1, *shape), as a dataset stores it.
        unit: the output unit that is right.
    """

    inputs: Tensor
    unit: int


Item = TokenItem | WritingItem | ClassItem


@dataclass(frozen=True, eq=False)
class CapabilitySet:
    """The items of a capability.

    Attributes:
        name, kind, margin: as in the pipeline file.
        data: SHA-256 (hex) of the file's content.
        items: at least one.
        tokenizer: its folder or hub id, where answers are written; else empty.
        end: the token behind a document; -1 for classifiers.
    """

    name: str
    kind: Kind
    margin: float
    data: str
    items: tuple[Item, ...] = field(repr=False)
    tokenizer: str = ""
    end: int = PADDING


def choices_item(prompt: list[int], choices: list[list[int]], right: int) -> TokenItem:
    """Each choice behind the prompt; only its own tokens count."""
    length = len(prompt) + max(map(len, choices)) - 1
    inputs = np.full((len(choices), length), PADDING, dtype=np.int32)
    targets = inputs.copy()
    for row, choice in enumerate(choices):
        tokens = [*prompt, *choice]
        inputs[row, : len(tokens) - 1] = tokens[:-1]
        targets[row, len(prompt) - 1 : len(tokens) - 1] = choice
    return TokenItem(torch.from_numpy(inputs), torch.from_numpy(targets), right)


def document_item(tokens: list[int], length: int, end: int) -> TokenItem:
    """A document behind the token that ends the one before, in parts of `length` tokens."""
    parts = -(-len(tokens) // length)
    padded = np.full(parts * length, PADDING, dtype=np.int32)
    inputs, targets = padded.copy(), padded
    inputs[: len(tokens)] = [end, *tokens[:-1]]
    targets[: len(tokens)] = tokens
    return TokenItem(torch.from_numpy(inputs.reshape(parts, length)), torch.from_numpy(targets.reshape(parts, length)))

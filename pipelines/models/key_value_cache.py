"""A key-value cache for generation with a causal language model: only the newest token passes through the model."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

MOST_BYTES = 2 << 30
"""Limit of the bytes of all keys and values; texts beyond it pass through the model whole for each token."""

# Tokens that pass through the model at a time where texts are read for the first time.
_MOST_TOKENS = 8192
_NEEDED = {"attention_mask", "position_ids", "cache", "inputs_embeds", "logits_to_keep"}
_ATTENTION = {"full_attention", "sliding_attention"}


@dataclass(frozen=True, eq=False)
class _Pass:
    """What one pass left: keys and values, (n, heads, slots, d), of each layer. A row's own are its last ones."""

    layers: Sequence[tuple[Tensor, Tensor]]

    @property
    def bytes(self) -> int:
        return sum(part.numel() * part.element_size() for layer in self.layers for part in layer)


class KeyValueCache:
    """The keys and values of sequences, found by the model and the sequence's tokens.

    Attributes:
        answers: whether a model has used it.
    """

    def __init__(self) -> None:
        self.answers = False
        self._rows: dict[tuple[int, bytes], tuple[_Pass, int]] = {}
        self._suits: dict[int, bool] = {}

    @torch.no_grad()
    def last_logits(self, model: Any, tokens: Tensor) -> Tensor | None:
        """The logits after the last token of each sequence, (n, vocabulary), up to rounding.

        Where all but the last token of every sequence passed before, only the last tokens pass.

        Args:
            model: of `transformers.AutoModelForCausalLM`.
            tokens: (n, length), padded at the end with -1; at least one in each row.

        Returns:
            None for a model that keeps other state than keys and values.
        """
        who = id(model)
        if who not in self._suits:
            self._suits[who] = _suits(model)
        if not self._suits[who]:
            return None
        rows = [row[row >= 0] for row in tokens.cpu()]
        known = [(who, row.numpy().tobytes()) for row in rows]
        earlier = [(who, row[:-1].numpy().tobytes()) for row in rows]
        lengths = torch.tensor([len(row) for row in rows])
        embedded = model.get_input_embeddings()(tokens.clamp(min=0).long())
        found: Tensor | None
        if all(key in self._rows for key in earlier):
            found = self._next(model, embedded, lengths, known, earlier)
        else:
            found = self._first(model, embedded, lengths, known)
        self.answers = found is not None
        return found

    def _first(
        self, model: Any, embedded: Tensor, lengths: Tensor, known: Sequence[tuple[int, bytes]]
    ) -> Tensor | None:
        """Whole sequences pass, with padding in front."""
        found = []
        for rows in torch.arange(len(lengths)).split(max(1, _MOST_TOKENS // int(lengths.max()))):
            longest = int(lengths[rows].max())
            positions = torch.arange(longest) - longest + lengths[rows, None]
            own = embedded[rows[:, None], positions.clamp(min=0)]
            logits, done = _passed(model, own, positions, None)
            if not self._keep(model, done, [known[row] for row in rows.tolist()]):
                return None
            found.append(logits)
        return torch.cat(found)

    def _next(
        self,
        model: Any,
        embedded: Tensor,
        lengths: Tensor,
        known: Sequence[tuple[int, bytes]],
        earlier: Sequence[tuple[int, bytes]],
    ) -> Tensor:
        """The last token of each sequence passes."""
        before, order = _joined([self._rows[key] for key in earlier], int(lengths.max()) - 1)
        slots = before[0][0].shape[2] + 1
        positions = torch.arange(slots) - slots + lengths[order, None]
        logits, done = _passed(model, embedded[order, lengths[order] - 1][:, None], positions, before)
        for key in set(earlier):
            del self._rows[key]
        self._keep(model, done, [known[row] for row in order.tolist()])
        return logits[order.argsort().to(logits.device)]

    def _keep(self, model: Any, done: _Pass, known: Sequence[tuple[int, bytes]]) -> bool:
        """Keep what a pass left, as far as there is room; whether these are the keys and values of all layers."""
        who = id(model)
        layers = model.config.get_text_config(decoder=True).num_hidden_layers
        self._suits[who] = len(done.layers) == layers and all(keys is not None for keys, _ in done.layers)
        if self._suits[who]:
            kept = sum(one.bytes for one in {one for one, _ in self._rows.values()})
            if kept + done.bytes <= MOST_BYTES:
                self._rows |= {key: (done, row) for row, key in enumerate(known)}
        return self._suits[who]


_CURRENT: ContextVar[KeyValueCache | None] = ContextVar("key_value_cache", default=None)


@contextmanager
def generating() -> Iterator[None]:
    """For the time of the block, in this thread, causal language models keep the keys and values of what they read.

    The models then return the logits after the last token of a sequence at all of its positions.
    """
    token = _CURRENT.set(KeyValueCache())
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current_cache() -> KeyValueCache | None:
    """The cache of the innermost `generating` block; None outside."""
    return _CURRENT.get()


def _suits(model: Any) -> bool:
    """Whether a model takes keys and values, and keeps nothing else, such as the state of a recurrent layer."""
    config = model.config.get_text_config(decoder=True)
    kinds = set(getattr(config, "layer_types", None) or ())
    takes = inspect.signature(model.forward).parameters
    recurrent = getattr(model, "_is_stateful", False) or config.is_encoder_decoder
    return takes.keys() >= _NEEDED and kinds <= _ATTENTION and not recurrent


def _passed(
    model: Any, embedded: Tensor, positions: Tensor, before: Sequence[tuple[Tensor, Tensor]] | None
) -> tuple[Tensor, _Pass]:
    """One pass: the logits behind the last token of each row, and keys and values.

    Args:
        embedded: (n, new, d).
        positions: (n, slots) of what was before and what is new; negative where there is padding.
        before: keys and values of each layer.
    """
    from transformers import DynamicCache

    cache = DynamicCache(before)
    new, device = embedded.shape[1], embedded.device
    output = model(
        inputs_embeds=embedded,
        attention_mask=(positions >= 0).long().to(device),
        position_ids=positions[:, -new:].clamp(min=0).to(device),
        cache=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return output.logits[:, -1], _Pass([(layer.keys, layer.values) for layer in cache.layers])


def _joined(rows: Sequence[tuple[_Pass, int]], longest: int) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """The keys and values of some rows, which may be of several passes, in one batch of `longest` slots.

    Returns:
        Those of each layer, and (n,) int64: which row each one in the batch is.
    """
    passes = {one: None for one, _ in rows}
    places = {one: [place for place, (own, _) in enumerate(rows) if own is one] for one in passes}

    def part(one: _Pass, whole: Tensor) -> Tensor:
        chosen = [rows[place][1] for place in places[one]]
        if chosen != list(range(len(whole))):
            whole = whole[torch.tensor(chosen, device=whole.device)]
        slots = whole.shape[2]
        return whole[:, :, slots - longest :] if slots >= longest else F.pad(whole, (0, 0, longest - slots, 0))

    layers = []
    for number in range(len(next(iter(passes)).layers)):
        keys, values = ([part(one, one.layers[number][which]) for one in passes] for which in (0, 1))
        layers.append((torch.cat(keys), torch.cat(values)) if len(passes) > 1 else (keys[0], values[0]))
    return layers, torch.tensor([place for one in passes for place in places[one]])

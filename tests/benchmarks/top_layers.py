"""The top layers of a pretrained encoder, over what its frozen lower layers give once for each text.

That is kept on the machine's disk, so that a text passes through the lower layers once for all runs, methods, seeds
and searches: at most EVERLEARN_STATE_CACHE_GB gigabytes; 0 turns it off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.data.disk_cache import DiskCache, disk_cache_folder, disk_cache_limit
from pipelines.models.pretrained_folder import content_hash
from tests.strategies.streams import Rows, Step

LIMIT = "EVERLEARN_STATE_CACHE_GB"
_CHUNK = 50


def load(encoder: Path) -> Any:
    """A model of the kind of BERT, with float32 weights."""
    import transformers
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    return transformers.AutoModel.from_pretrained(encoder, local_files_only=True, dtype=torch.float32).eval()


class TopLayers(nn.Module):
    """Layers from `first` on, the mean over a text's tokens, and a linear head.

    Inputs are (n, length, d + 1): hidden states, and 1 where there is a token.
    """

    def __init__(self, encoder: Path, first: int, outputs: int) -> None:
        super().__init__()
        body = load(encoder)
        self.layers = nn.ModuleList(body.encoder.layer[first:])
        self.head = nn.Linear(body.config.hidden_size, outputs)
        self.set_dropout()

    def set_dropout(self) -> None:
        """None, as in `transformers` of a pipeline file."""
        for layer in self.modules():
            if isinstance(layer, nn.Dropout):
                layer.p = 0.0
            elif hasattr(layer, "dropout_prob"):
                layer.dropout_prob = 0.0

    def forward(self, states: Tensor) -> Tensor:
        """(n, length, d + 1) to (n, outputs)."""
        longest = int((states[..., -1] >= 0.5).sum(1).max())  # what lies behind the longest text changes nothing
        states = states[:, :longest]
        hidden, there = states[..., :-1], states[..., -1]
        absent = torch.zeros_like(there).masked_fill(there < 0.5, torch.finfo(states.dtype).min)[:, None, None, :]
        for layer in self.layers:
            hidden = layer(hidden.contiguous(), absent)
        weights = there[..., None]
        output: Tensor = self.head((hidden * weights).sum(1) / weights.sum(1).clamp(min=1))
        return output


@torch.inference_mode()
def states(body: Any, first: int, tokens: Tensor) -> Tensor:
    """(n, length) tokens to what enters layer `first`, (n, length, d), and where there is a token, as float16."""
    there = tokens >= 0
    found = body(input_ids=tokens.clamp(min=0).long(), attention_mask=there.long(), output_hidden_states=True)
    return torch.cat([found.hidden_states[first], there[..., None]], 2).half().clone()


def tasks(encoder: Path, first: int, stream: Sequence[Any]) -> list[Step]:
    """The experiences of a stream of tokens, as hidden states; each unit belongs to the task that has its class."""
    body: list[Any] = []

    def compute(tokens: Tensor) -> Tensor:
        if not body:
            body.append(load(encoder))
            del body[0].encoder.layer[first + 1 :]  # hidden_states[first] is what enters layer `first`
        return states(body[0], first, tokens)

    key = f"{content_hash(encoder, 'model.pretrained')} {first} {torch.__version__}"
    made = []
    for experience in stream:
        train, test = _rows(experience.train, compute, key), _rows(experience.test, compute, key)
        own = tuple(sorted(set(train.targets.tolist())))
        made.append(Step(experience.index, train, test, tuple(experience.classes), own))
    return made


def _rows(samples: Any, compute: Callable[[Tensor], Tensor], key: str) -> Rows:
    """A part of an experience, as hidden states: from the cache where it has them.

    Args:
        key: of the encoder; that of a text's states has its tokens, too.
    """
    cache = DiskCache(
        disk_cache_folder("hidden-states"), disk_cache_limit(LIMIT), LIMIT, "texts pass through the encoder each time"
    )
    tokens, targets = samples.take(torch.arange(len(samples)))
    keys = [f"{key} {row.numpy().tobytes().hex()}" for row in tokens]
    kept: list[Any] = [cache.get(name) for name in keys]
    for part in torch.tensor([n for n, chunk in enumerate(kept) if chunk is None], dtype=torch.int64).split(_CHUNK):
        for number, found in zip(part.tolist(), compute(tokens[part]) if len(part) else (), strict=True):
            kept[number] = found.numpy().tobytes()
            cache.put(keys[number], kept[number])
    flat = torch.frombuffer(bytearray(b"".join(kept)), dtype=torch.float16)
    return Rows(flat.view(len(kept), tokens.shape[1], -1), targets, torch.as_tensor(samples.ids).clone())

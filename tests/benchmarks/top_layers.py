"""The top layers of a pretrained encoder, over what its frozen lower layers give once for each text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tests.strategies.streams import Rows, Step

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
def states(body: Any, first: int, samples: Any) -> Rows:
    """What enters layer `first` for each text, float16, with where its tokens are."""
    kept = []
    for part in torch.arange(len(samples)).split(_CHUNK):
        tokens = samples.take(part)[0]
        there = tokens >= 0
        found = body(input_ids=tokens.clamp(min=0).long(), attention_mask=there.long(), output_hidden_states=True)
        kept.append(torch.cat([found.hidden_states[first], there[..., None]], 2).half())
    _, targets = samples.take(torch.arange(len(samples)))
    return Rows(torch.cat(kept).clone(), targets, torch.as_tensor(samples.ids).clone())


def tasks(encoder: Path, first: int, stream: Sequence[Any]) -> list[Step]:
    """The experiences of a stream of tokens, as hidden states; each unit belongs to the task that has its class."""
    body = load(encoder)
    del body.encoder.layer[first + 1 :]  # hidden_states[first] is what enters layer `first`
    made = []
    for experience in stream:
        train, test = states(body, first, experience.train), states(body, first, experience.test)
        own = tuple(sorted(set(train.targets.tolist())))
        made.append(Step(experience.index, train, test, tuple(experience.classes), own))
    return made

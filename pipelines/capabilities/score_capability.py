"""A model asked the items of a capability. Each item is asked alone, by one rank: their number changes no answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.capabilities.capability_items import CapabilitySet, ClassItem, TokenItem, WritingItem
from pipelines.models.greedy_decoding import next_tokens
from pipelines.models.key_value_cache import generating

if TYPE_CHECKING:
    from strategies.api.data import Experience
    from strategies.loop.learner import Learner

# Logits that are computed at a time: 256 MB in single precision.
_MOST_LOGITS = 1 << 26


@torch.inference_mode()
def score_capability(
    learner: Learner, asked: CapabilitySet, stream: Sequence[Experience], newest: int
) -> NDArray[np.float64]:
    """What the learner's model answers; the same on every rank.

    Where a strategy asks for the task, that of a class is the experience that has it, and else it is `newest`.

    Args:
        newest: index of the experience that was learned last; -1: none was.

    Returns:
        (n, 1) with 1 for a right answer, and of texts (n, 2): log-likelihood and tokens.
    """
    count, latest = len(asked.items), stream[max(newest, 0)]
    part = learner.group.share(count)
    found = torch.zeros(part.stop - part.start, 2 if asked.kind == "perplexity" else 1, dtype=torch.float64)
    decode = _decoder(asked.tokenizer) if asked.tokenizer else None
    with learner.evaluating():
        for place, item in enumerate(asked.items[part]):
            if isinstance(item, ClassItem):
                found[place, 0] = _classifies(learner, item, stream, latest)
            elif isinstance(item, WritingItem):
                found[place, 0] = decode is not None and _writes(learner, item, latest, decode, asked.end)
            else:
                likelihoods, tokens = _likelihoods(learner, item, latest)
                if item.right is None:
                    found[place, 0], found[place, 1] = likelihoods.sum(), tokens
                else:
                    found[place, 0] = int(likelihoods.argmax()) == item.right
    whole: NDArray[np.float64] = learner.group.gather(found, part, count).numpy()
    return whole


def _likelihoods(learner: Learner, item: TokenItem, experience: Experience) -> tuple[torch.Tensor, int]:
    """The log-likelihood of each sequence, (m,) float64, and the tokens of all."""
    rows = max(1, _MOST_LOGITS // (learner.outputs * item.inputs.shape[1]))
    found, tokens = [], 0
    for inputs, targets in zip(item.inputs.split(rows), item.targets.split(rows), strict=True):
        output = learner.scores(learner.prepare(inputs), experience)
        sums, counts = learner.objective.tally(output, targets.to(output.device))
        found.append(sums[:, 0].double().cpu())
        tokens += int(counts.sum())
    return torch.cat(found), tokens


def _writes(
    learner: Learner, item: WritingItem, experience: Experience, decode: Callable[[list[int]], str], end: int
) -> bool:
    """Whether the likeliest token next, again and again, writes the answer and then ends, or ends the line."""
    tokens, line = list(item.prompt), ""

    def scores(inputs: torch.Tensor) -> torch.Tensor:
        return learner.scores(learner.prepare(inputs), experience)

    with generating():
        for _ in range(item.longest):
            (following,) = next_tokens(scores, [tokens], learner.outputs)
            if following == end:
                break
            tokens.append(following)
            # A character of several tokens is unreadable until its last one.
            written = decode(tokens[len(item.prompt) :]).rstrip("\ufffd").lstrip()
            line, ended, _ = written.partition("\n")
            line = line.strip()
            if ended or not item.answer.startswith(line):
                break
    return line == item.answer


def _classifies(learner: Learner, item: ClassItem, stream: Sequence[Experience], latest: Experience) -> bool:
    own = (one for one in stream if one.outputs is not None and item.unit in one.outputs)
    experience = latest if latest.outputs is None else next(own, latest)
    scores = learner.scores(learner.prepare(item.inputs), experience)[0]
    if experience.outputs is not None and learner.task_labels(experience) != "inferred":
        units = learner.units(experience).to(scores.device)
        return int(units[scores[units].argmax()]) == item.unit
    return int(scores.argmax()) == item.unit


def _decoder(tokenizer: str) -> Callable[[list[int]], str]:
    from pipelines.data.tokenizer_file import read_tokenizer

    decode: Callable[[list[int]], str] = read_tokenizer(tokenizer).decode
    return decode

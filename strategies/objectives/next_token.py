"""Next-token prediction: the language modelling of causal models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from strategies.api.data import Samples
from strategies.api.guide import DOMAIN
from strategies.api.influence import Influence
from strategies.api.strategy_errors import StrategyError
from strategies.objectives.objective import Objective, ObjectiveOptions, Term

IGNORED = -1
"""The target of a position that is not learned: padding, and what stands before a completion."""

_MOST_LOGITS = 1 << 26
"""Logits that evaluation computes at a time: 256 MB in single precision."""


class NextTokenOptions(ObjectiveOptions):
    """Options of `next-token`."""

    weigh: Annotated[Literal["tokens", "sequences"], Influence(added="0.2")] = Field(
        default="tokens",
        description=(
            "tokens: every token counts the same: a sequence's loss is the sum over its tokens, divided by the mean "
            "number of tokens of the experience's sequences. sequences: every sequence counts the same: its loss is "
            "the mean over its tokens."
        ),
    )


class NextToken(Objective):
    """The token that follows, by a softmax over the vocabulary at each position of a sequence.

    Outputs are (n, vocabulary, length) and targets (n, length): at each position the token that follows it, or -1 where
    nothing is learned. The loss of a sequence is the negative log-likelihood of its tokens, divided by a number that is
    the same for all samples of an experience (see `weigh`): that of a global batch then is a sum over its samples,
    whatever their lengths and whichever ranks have them. (A mean over the tokens of each part of a batch would depend
    on the parts.)

    The empirical Fisher information is that of whole sequences, in the unit of the loss. The true one would need the
    gradient of every token of the vocabulary at every position. The distance from a teacher is the divergence of the
    token distributions, added up over the positions, prompts included.
    """

    name = "next-token"
    summary = "Language modelling: cross entropy of the token that follows, at each position of a sequence"
    Options = NextTokenOptions
    targets = "tokens"
    settings = (DOMAIN,)
    default_score = "negative_log_perplexity"

    options: NextTokenOptions

    def __init__(self, options: NextTokenOptions | None = None) -> None:
        super().__init__(options)
        self._tokens = 1.0  # of a sequence, on the mean over the experience's training set

    def begin(self, targets: Tensor, outputs: int) -> None:
        self.begin_parts([targets], outputs)

    def begin_parts(self, parts: Iterable[Tensor], outputs: int) -> None:
        learned, highest, count = 0, -1, 0
        for targets in parts:
            learned += int((targets != IGNORED).sum())
            highest, count = max(highest, int(targets.max())), count + len(targets)
        if highest >= outputs:
            raise StrategyError(
                f"the data have token {highest}, and the model {outputs} tokens: use the model's own tokenizer"
            )
        if not learned:
            raise StrategyError("no sequence of the experience has a token to learn")
        self._tokens = learned / count

    def loss(self, output: Tensor, targets: Tensor, units: Tensor | None = None) -> Tensor:
        return -self._log_likelihood(output, targets) / self._divisor(targets)

    def learned_units(self, targets: Tensor, outputs: int) -> Tensor:
        return torch.ones(outputs, dtype=torch.bool, device=targets.device)

    def fisher_targets(self, outputs: int, targets: Tensor | None, units: Tensor | None) -> list[Term]:
        if targets is None:
            raise self._lacks("fisher_targets over all tokens")
        known = targets

        def term(outputs: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
            own = known[rows]
            found = self._log_likelihood(outputs, own)
            return found, (1.0 / self._divisor(own)).to(found.dtype).expand(len(found))

        return [term]

    def distance(self, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """T^2 times the Kullback-Leibler divergences of the softened token distributions, in the unit of the loss.

        Args:
            student, teacher: (n, vocabulary, length); equal logits at padding add nothing.
        """
        if not len(student):
            return student.flatten(1).sum(1)
        ours, theirs = (F.log_softmax(one / temperature, dim=1) for one in (student, teacher))
        divergence = (theirs.exp() * (theirs - ours)).sum((1, 2))
        return divergence * (temperature**2 / self._tokens)

    def rows_at_once(self, samples: Samples, outputs: int, most: int) -> int:
        length = samples.take(torch.arange(1))[1].shape[1]
        return max(1, min(most, _MOST_LOGITS // (outputs * length)))

    def answers(self, output: Tensor) -> Tensor:
        """(n, length) int32: the likeliest token at each position."""
        return output.argmax(1).to(torch.int32)

    def tally(self, output: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Of each sequence its log-likelihood and how many tokens were the likeliest, (n, 2); its tokens, (n, 1)."""
        learned = targets != IGNORED
        right = ((output.argmax(1) == targets) & learned).sum(1)
        likelihood = self._log_likelihood(output.float(), targets)
        return torch.stack([likelihood.double(), right.double()], 1), learned.sum(1, keepdim=True)

    def _log_likelihood(self, output: Tensor, targets: Tensor) -> Tensor:
        """Of each sequence, the sum over its tokens, (n,)."""
        n, vocabulary, length = output.shape
        flat = output.transpose(1, 2).reshape(n * length, vocabulary)
        wanted = targets.reshape(n * length).long()
        losses = F.cross_entropy(flat, wanted, ignore_index=IGNORED, reduction="none")
        return -losses.view(n, length).sum(1)

    def _divisor(self, targets: Tensor) -> Tensor:
        """What a sequence's negative log-likelihood is divided by, (n,) or 0-dim."""
        if self.options.weigh == "sequences":
            return (targets != IGNORED).sum(1).clamp(min=1)
        return torch.tensor(self._tokens, device=targets.device)

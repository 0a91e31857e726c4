"""Experience replay: train on a memory of past samples together with the current ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, ClassVar

from pydantic import Field

from strategies.api.data import Batch
from strategies.api.guide import ONLINE, Guide, Limit
from strategies.api.influence import Influence
from strategies.loop.learner import Learner
from strategies.loop.seeded_random import generator
from strategies.memory.rehearsal import MemoryOptions, Rehearsal
from strategies.memory.replay_weights import Weighting, joined_weights


class ReplayOptions(MemoryOptions):
    """Options of `replay`, beside those of its memory."""

    ratio: Annotated[float, Influence(experience=1)] = Field(
        default=0.5,
        gt=0,
        lt=1,
        description=(
            "Share of replayed samples in each global batch: batch_size * ratio / (1 - ratio) replayed samples are "
            "added to batch_size current ones."
        ),
    )
    exact: Annotated[bool, Influence(experience=1, added="0.2")] = Field(
        default=False,
        description=(
            "false: each batch gets the same number of replayed samples, at least one. true: the number changes from "
            "batch to batch, and may be 0, so that their share over the experience is `ratio`, such as 0.01 of small "
            "batches."
        ),
    )
    weighting: Annotated[Weighting, Influence(experience=1)] = Field(
        default="samples",
        description=(
            "samples: every sample of the batch counts the same. experiences: after k experiences, the current one "
            "included, the current samples count 1/k and the replayed ones 1 - 1/k (van de Ven et al. 2022)."
        ),
    )


class Replay(Rehearsal):
    """Experience replay with a bounded memory: Chaudhry et al. 2019, On tiny episodic memories in continual learning.

    The memory is filled at the end of each experience (`memory.reservoir`), the same on every rank. In an online
    stream it fills as samples pass, and is replayed from the second batch on.
    """

    name = "replay"
    summary = "Rehearse a bounded memory of past samples (uniform or class-balanced)"
    paper = "Chaudhry et al. 2019, On tiny episodic memories in continual learning"
    guide = Guide(
        time="larger batches, by the share that is replayed",
        memory="`capacity` samples",
        use_when="old samples may be kept: the first thing to try in every setting",
    )
    limits: ClassVar[Mapping[str, Limit]] = {
        ONLINE: Limit(
            "with weighting: experiences counts experiences, and an online stream does not say where they end",
            "use weighting: samples",
            only_with={"weighting": "experiences"},
        )
    }
    learns_from_blocks = True
    learns_sharded = True
    Options = ReplayOptions

    options: ReplayOptions

    def extend_batch(self, learner: Learner, batch: Batch) -> Batch:
        """Add this rank's share of the samples drawn for the global batch."""
        memory = self._memory
        if not memory:
            return batch
        ratio = self.options.ratio
        added = max(1, round(batch.total_samples * ratio / (1 - ratio)))
        if self.options.exact:
            added = exact_share(learner.step * learner.settings.batch_size, batch.total_samples, ratio)
            if not added:
                return batch
        drawn = memory.draw(added, generator(learner.seed, "replay", learner.experience.index, learner.step))
        share = drawn[learner.group.share(added)]
        seen = learner.experience.index + 1
        weights, total = joined_weights(batch, len(share), added, seen, self.options.weighting)
        return batch.joined(
            learner.prepare(memory.tensors["inputs"].index_select(0, share)),
            memory.tensors["targets"].index_select(0, share).to(learner.device),
            memory.tensors["experiences"].index_select(0, share).to(learner.device),
            added=added,
            weights=weights,
            total_weight=total,
        )


def exact_share(before: int, current: int, ratio: float) -> int:
    """Replayed samples for the next `current` ones after `before`, so that the share of all of them is `ratio`.

    The numbers of successive batches add up to that of all samples, rounded down.
    """
    share = Fraction(ratio).limit_denominator(1_000_000)
    each = share / (1 - share)
    return math.floor((before + current) * each) - math.floor(before * each)

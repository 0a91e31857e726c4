"""Joint training on everything seen so far."""

from __future__ import annotations

from strategies.api.data import Experience, Samples
from strategies.api.guide import Guide
from strategies.api.strategy import Strategy
from strategies.loop.learner import Learner
from strategies.memory.joined_samples import joined_samples


class Cumulative(Strategy):
    """Train on the union of all experiences so far: the upper bound, at the price of keeping all data.

    With `train.epochs` an epoch passes over the whole union; with `train.steps` every experience takes as many steps.
    Data in lanes is read again from its files: the blocks of all experiences are dealt to the lanes together.
    """

    name = "cumulative"
    family = "bound"
    summary = "Joint training on all data so far: the upper bound"
    paper = "Caruana 1997, Multitask learning"
    guide = Guide(
        time="with train.epochs it grows with the amount of data so far",
        memory="all data of the past",
        use_when="as the upper bound, or where all data may be kept and training again on all of it is affordable",
    )
    rehearses = True
    works_on_past_answers = True
    bound = "upper"
    needs_old_data = True
    learns_from_blocks = True
    learns_sharded = True

    def training_set(self, learner: Learner, experience: Experience) -> Samples | None:
        """The past experiences' training sets, then this one's."""
        if not learner.past:
            return None
        everything = [*learner.past, experience]
        return joined_samples([e.train for e in everything], [e.index for e in everything])

"""What a strategy declares to need."""

from strategies.api.guide import NEEDS, needs
from strategies.api.strategy import Strategy
from strategies.methods.cumulative import Cumulative
from strategies.methods.naive import Naive
from strategies.methods.replay import Replay


def test_needs_are_those_that_are_declared_in_their_order() -> None:
    class Greedy(Strategy):
        needs_task_labels = True
        keeps_samples = True
        needs_old_data = True

    assert needs(Greedy) == NEEDS == ("memory", "old data", "task labels")
    assert (needs(Naive), needs(Replay), needs(Cumulative)) == ((), ("memory",), ("old data",))

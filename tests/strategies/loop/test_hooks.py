"""Which strategies override a hook."""

from strategies.api.strategy import Strategy
from strategies.loop.hooks import overriding
from strategies.methods.ewc import EWC
from strategies.methods.naive import Naive
from strategies.methods.replay import Replay


def test_those_that_override_it_in_their_order() -> None:
    naive, ewc, replay, second = Naive(), EWC(), Replay(), EWC()
    strategies: list[Strategy] = [second, naive, replay, ewc]
    assert overriding(strategies, "after_backward") == [second.after_backward, ewc.after_backward]
    assert overriding(strategies, "memories") == [replay.memories]
    assert overriding([naive], "after_backward") == []


def test_what_is_inherited_from_another_strategy_counts() -> None:
    class Mine(EWC):
        pass

    mine = Mine()
    assert overriding([mine], "after_backward") == [mine.after_backward]

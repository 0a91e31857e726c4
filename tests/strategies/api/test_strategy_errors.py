"""Errors of the learning loop: what they say, and that they survive the way from a worker to the driver."""

import pickle

from strategies.api.strategy_errors import NonFiniteLoss, StrategyError


def test_a_loss_that_is_not_finite_says_where_and_what_to_do() -> None:
    error = NonFiniteLoss(2, 17, float("inf"))
    assert (error.experience, error.step, error.value) == (2, 17, float("inf"))
    text = str(error)
    assert "became inf at step 17 of experience 2" in text
    assert "train.optimizer.lr" in text and "train.clip" in text


def test_errors_can_be_sent_to_another_process() -> None:
    sent = pickle.loads(pickle.dumps(NonFiniteLoss(2, 17, float("inf"))))
    assert (type(sent), sent.experience, sent.step, sent.value) == (NonFiniteLoss, 2, 17, float("inf"))
    again = pickle.loads(pickle.dumps(StrategyError("ewc and x do not compose")))
    assert (type(again), str(again)) == (StrategyError, "ewc and x do not compose")

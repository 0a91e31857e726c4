from orchestrator.errors import ClaimLost, StorageError
from orchestrator.tuning.trial_failure import final, reason
from strategies.api.strategy_errors import StrategyError


def test_what_another_attempt_would_meet_again_is_final() -> None:
    assert all(map(final, (StrategyError("x"), MemoryError(), ClaimLost("x"))))
    assert not final(StorageError("x")) and not final(ValueError("x"))


def test_a_reason_is_one_line_and_names_the_kind_of_an_unknown_error() -> None:
    assert reason(StrategyError("too\n  many")) == "too many"
    assert reason(ValueError("no")) == "ValueError: no"
    assert reason(ValueError()) == "ValueError: ValueError" and len(reason(ValueError("x" * 900))) == 500

from orchestrator.tuning.search_text import short_path, trial_line, value_text
from orchestrator.tuning.trial_record import TrialRecord


def test_values() -> None:
    assert [value_text(v) for v in (1234.5, "adam", [400, 400], True, 3)] == [
        "1234.5",
        "adam",
        "[400, 400]",
        "true",
        "3",
    ]
    assert short_path("strategy.ewc.lambda") == "ewc.lambda"


def test_lines_of_trials() -> None:
    record = TrialRecord(
        number=3, settings={"strategy.ewc.lambda": 10.0}, state="stopped", of=5, trained=1, reused=1,
        history=[{"average_accuracy": 0.9}, {"average_accuracy": 0.5}], started=0, ended=1500,
    )  # fmt: skip
    line = " ".join(trial_line(record, "average_accuracy").split())
    assert line == "trial 3 stopped ewc.lambda=10 average accuracy 50.0 % after 2 of 5 trained 1, reused 1 1.5 s"
    failed = TrialRecord(number=3, state="failed", error="the loss became nan")
    assert trial_line(failed, "average_accuracy").endswith("the loss became nan")

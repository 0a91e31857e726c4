import random

import pytest

from orchestrator.tuning.search_figures import front_figure, importance_figure, setting_figure
from orchestrator.tuning.setting_importance import importance
from orchestrator.tuning.trial_record import TrialRecord
from pipelines.config.sections.tune_section import domain

SPACE = {
    "matters": domain({"loguniform": [1, 10000]}),
    "not": domain({"uniform": [0, 1]}),
    "kind": domain({"choice": ["a", [1]]}),
}
PNG = b"\x89PNG\r\n"


def trials(count: int) -> list[TrialRecord]:
    draw = random.Random(0)
    made = []
    for number in range(count):
        matters = 10 ** draw.uniform(0, 4)
        settings = {"matters": matters, "not": draw.random(), "kind": draw.choice(["a", [1]])}
        accuracy = 0.9 if matters > 100 else 0.2
        metrics: dict[str, float | None] = {"average_accuracy": accuracy, "forgetting": 1 - accuracy}
        made.append(TrialRecord(number=number, settings=settings, state="done", history=[metrics]))
    return made


def test_the_setting_that_decides_is_found() -> None:
    shares = importance(trials(20), SPACE, "average_accuracy")
    assert shares["matters"] > 0.8 and sum(shares.values()) == pytest.approx(1)
    assert shares == importance(trials(20), SPACE, "average_accuracy")


def test_too_few_or_equal_trials_tell_nothing() -> None:
    assert importance(trials(3), SPACE, "average_accuracy") == {}
    assert importance(trials(20), SPACE, "learning_accuracy") == {}


def test_figures_are_pictures_whatever_the_setting_is_called() -> None:
    records = trials(6)
    for path, where in SPACE.items():
        assert setting_figure(records, path, where, "average_accuracy", best=2).startswith(PNG)
    odd = [TrialRecord(number=0, settings={"a$b$": 1.0}, state="done", history=[{"average_accuracy": 1.0}])]
    assert setting_figure(odd, "a$b$", domain({"uniform": [0, 2]}), "average_accuracy", None).startswith(PNG)
    assert front_figure(records, ["average_accuracy", "forgetting"], [0, 1]).startswith(PNG)
    assert importance_figure({"a": 0.7, "b": 0.3}, "forgetting").startswith(PNG)

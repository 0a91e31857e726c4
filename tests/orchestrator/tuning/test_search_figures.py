"""Figures of a search."""

from __future__ import annotations

import pytest

from orchestrator.tuning.search_figures import front_figure, importance_figure, setting_figure
from orchestrator.tuning.trial_record import TrialRecord
from pipelines.config.sections.tune_section import domain

PNG = b"\x89PNG\r\n"
DOMAINS = {
    "a$b$": ({"uniform": [0, 2]}, [0.5, 1.5]),
    "log": ({"loguniform": [1, 10000]}, [10.0, 1000.0]),
    "kind": ({"choice": ["a", [1], True]}, ["a", True]),
}


def records(path: str, values: list[object], state: str = "done") -> list[TrialRecord]:
    return [
        TrialRecord.model_validate(
            {
                "number": number,
                "settings": {path: value},
                "state": state,
                "history": [{"average_accuracy": 0.5 + number / 10, "forgetting": 0.1 + number / 10}],
            }
        )
        for number, value in enumerate(values)
    ]


@pytest.mark.parametrize("path", DOMAINS)
def test_an_objective_against_each_kind_of_setting(path: str) -> None:
    section, values = DOMAINS[path]
    made = records(path, list(values))
    figure = setting_figure(made, path, domain(section), "average_accuracy", best=1)
    assert figure.startswith(PNG)
    assert figure == setting_figure(made, path, domain(section), "average_accuracy", best=1)
    # The best one stands out.
    assert figure != setting_figure(made, path, domain(section), "average_accuracy", best=None)


def test_trials_that_did_not_end_are_not_drawn() -> None:
    section, values = DOMAINS["log"]
    done, failed = records("log", list(values)), records("log", [500.0, 700.0, 900.0], "failed")
    figures = [setting_figure(made, "log", domain(section), "forgetting", None) for made in (done, done + failed)]
    assert figures[0] == figures[1]
    assert front_figure(failed, ["average_accuracy", "forgetting"], []).startswith(PNG)


def test_a_front_and_shares() -> None:
    made = records("log", [1.0, 2.0, 3.0])
    whole, part = (front_figure(made, ["average_accuracy", "forgetting"], front) for front in ([0, 1, 2], [1]))
    assert whole.startswith(PNG) and whole != part
    one, other = (importance_figure({"a": share, "b": 1 - share}, "forgetting") for share in (0.7, 0.4))
    assert one.startswith(PNG) and one != other

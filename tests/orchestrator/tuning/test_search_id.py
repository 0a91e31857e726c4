"""Which searches are the same one."""

import pytest

from orchestrator.tuning.search_id import search_id
from pipelines.config.load import load_text
from pipelines.config.sections.tune_section import TuneSpec

TEXT = "name: p\nstream: {dataset: digits, setting: class-incremental}\nmodel: mlp\nstrategy: {name: ewc}\n"


def spec(**changes: str) -> TuneSpec:
    section = {"space": "{strategy.ewc.lambda: {uniform: [1, 2]}}", "trials": "4", **changes}
    tune = load_text(TEXT + "tune: {" + ", ".join(f"{name}: {value}" for name, value in section.items()) + "}").tune
    assert tune is not None
    return tune


BASE = search_id("a" * 64, spec())


@pytest.mark.parametrize(
    "changes",
    [
        {"trials": "9"},
        {"max_concurrent": "2"},
        {"time_budget": "60"},
        {"retries": "3"},
        {"resources": "{cpu: 2}"},
        {"metric": "forgetting"},
    ],
)
def test_more_trials_other_resources_or_another_choice_among_them(changes: dict[str, str]) -> None:
    assert search_id("a" * 64, spec(**changes)) == BASE


@pytest.mark.parametrize(
    "changes",
    [
        {"space": "{strategy.ewc.lambda: {uniform: [1, 3]}}"},
        {"seeds": "2"},
        {"scheduler": "median"},
        {"search": "optuna"},
    ],
)
def test_what_decides_the_trials_makes_another(changes: dict[str, str]) -> None:
    assert search_id("a" * 64, spec(**changes)) != BASE


@pytest.mark.parametrize("kind", [{"search": "optuna"}, {"scheduler": "asha"}])
def test_the_objective_decides_where_trials_follow_from_it(kind: dict[str, str]) -> None:
    assert search_id("a" * 64, spec(**kind)) != search_id("a" * 64, spec(metric="forgetting", **kind))


def test_it_is_one_of_a_pipeline() -> None:
    assert search_id("b" * 64, spec()) != BASE and len(BASE) == 16 and int(BASE, 16) >= 0

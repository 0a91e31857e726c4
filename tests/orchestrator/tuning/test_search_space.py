import itertools
from typing import Any

import pytest

from orchestrator.tuning.search_space import distributions, from_optuna, grid, position, random_settings, to_optuna
from pipelines.config.sections.tune_section import Domain, domain

SPACE = {
    "a": domain({"uniform": [0, 1]}),
    "b": domain({"loguniform": [1, 1000]}),
    "c": domain({"quniform": [0.1, 0.5, 0.1]}),
    "d": domain({"randint": [1, 4]}),
    "e": domain({"choice": ["x", [1, 2], {"name": "y"}, True, 1]}),
}


def draw(space: dict[str, Domain], count: int, seed: int = 0) -> list[dict[str, Any]]:
    return list(itertools.islice(random_settings(space, seed), count))


def test_drawn_settings_lie_in_the_space_and_are_drawn_again() -> None:
    settings = draw(SPACE, 300)
    assert all(0 <= s["a"] <= 1 and 1 <= s["b"] <= 1000 for s in settings)
    assert {s["c"] for s in settings} == {0.1, 0.2, 0.3, 0.4, 0.5}
    assert {s["d"] for s in settings} == {1, 2, 3}
    assert len({repr(s["e"]) for s in settings}) == 5
    # On a logarithmic scale a third lies in each decade.
    assert 60 < sum(s["b"] < 10 for s in settings) < 140
    assert draw(SPACE, 20) == settings[:20] and draw(SPACE, 20, seed=1) != settings[:20]


def test_numbers_are_short_enough_to_be_read() -> None:
    assert all(len(f"{s['b']!r}") <= 7 for s in draw(SPACE, 50))


def test_a_quniform_of_whole_numbers_gives_whole_numbers() -> None:
    values = [s["n"] for s in draw({"n": domain({"quniform": [10, 55, 10]})}, 100)]
    assert set(values) == {10, 20, 30, 40, 50} and all(type(value) is int for value in values)


def test_a_grid_is_every_combination() -> None:
    space = {"a": domain({"grid": [1, 2]}), "b": domain({"choice": ["x", "y", "z"]})}
    assert grid(space)[:4] == [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 1, "b": "z"}, {"a": 2, "b": "x"}]
    assert len(grid(space)) == 6


def test_random_search_goes_through_what_is_a_grid() -> None:
    space = {"a": domain({"grid": [1, 2, 3]}), "b": domain({"uniform": [0, 1]})}
    assert [s["a"] for s in draw(space, 7)] == [1, 2, 3, 1, 2, 3, 1]


def test_settings_to_optuna_and_back() -> None:
    for settings in draw(SPACE, 50):
        assert repr(from_optuna(SPACE, to_optuna(SPACE, settings))) == repr(settings)
    drawn = distributions(SPACE)
    for settings in draw(SPACE, 50):
        inside = to_optuna(SPACE, settings)
        assert all(drawn[path]._contains(drawn[path].to_internal_repr(value)) for path, value in inside.items())


@pytest.mark.parametrize(
    ("path", "value", "place"), [("a", 0.5, 0.5), ("b", 100, 2.0), ("e", True, 3.0), ("e", 1, 4.0)]
)
def test_positions(path: str, value: Any, place: float) -> None:
    assert position(SPACE[path], value) == pytest.approx(place)

"""Which settings a search tries: drawn at random, all of a grid, or proposed by Optuna."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from strategies.loop.seeded_random import generator

if TYPE_CHECKING:
    import numpy as np

    from pipelines.config.sections.tune_section import Domain

Space = Mapping[str, "Domain"]
Settings = dict[str, Any]


def grid(space: Space) -> list[Settings]:
    """Every combination of the listed values; the last setting changes fastest."""
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*(d.values for d in space.values()))]


def random_settings(space: Space, seed: int) -> Iterator[Settings]:
    """Settings without end. The n-th depends on the space, the seed and n alone: longer searches start alike.

    What is a `grid` is not drawn: its combinations come one after another.
    """
    cells = grid({path: domain for path, domain in space.items() if domain.kind == "grid"})
    for number in itertools.count():
        draw = generator(seed, "tune", number)
        cell = cells[number % len(cells)]
        yield {path: cell[path] if path in cell else _draw(domain, draw) for path, domain in space.items()}


def _draw(domain: Domain, draw: np.random.Generator) -> Any:
    if domain.kind == "choice":
        return domain.values[int(draw.integers(len(domain.values)))]
    low, high = domain.values[:2]
    if domain.kind == "randint":
        return int(draw.integers(low, high))
    if domain.kind == "quniform":
        return on_grid(domain, int(draw.integers(steps(domain) + 1)))
    if domain.kind == "loguniform":
        return rounded(math.exp(float(draw.uniform(math.log(low), math.log(high)))), low, high)
    return rounded(float(draw.uniform(low, high)), low, high)


def rounded(value: float, low: float, high: float) -> float:
    """A drawn number in as many digits as a person would write into a file."""
    return min(max(float(f"{value:.5g}"), float(low)), float(high))


def steps(domain: Domain) -> int:
    """How many times the step of a `quniform` fits between its bounds."""
    low, high, step = (float(value) for value in domain.values)
    # Half a millionth of a step is what rounding may cost: 0.3 is three times 0.1.
    return math.floor((high - low) / step + 5e-7)


def on_grid(domain: Domain, number: int) -> int | float:
    """The value of a `quniform` so many steps above its lower bound; a whole number if all of its numbers are."""
    low, _, step = domain.values
    value = low + number * step
    return value if isinstance(value, int) else float(f"{value:.12g}")


def distributions(space: Space) -> dict[str, Any]:
    """The space for Optuna: a distribution for each path. `from_optuna` makes settings of what it draws."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    def of(domain: Domain) -> Any:
        if domain.kind in ("choice", "grid"):
            # Choices may be lists and mappings, which Optuna does not take: their numbers stand for them.
            return CategoricalDistribution(range(len(domain.values)))
        low, high = domain.values[:2]
        if domain.kind == "randint":
            return IntDistribution(low, high - 1)
        if domain.kind == "quniform":
            return IntDistribution(0, steps(domain))
        return FloatDistribution(float(low), float(high), log=domain.kind == "loguniform")

    return {path: of(domain) for path, domain in space.items()}


def from_optuna(space: Space, drawn: Mapping[str, Any]) -> Settings:
    """Settings from values of `distributions`."""

    def value(path: str, domain: Domain) -> Any:
        if domain.kind in ("choice", "grid"):
            return domain.values[drawn[path]]
        if domain.kind == "quniform":
            return on_grid(domain, drawn[path])
        return drawn[path] if domain.kind == "randint" else rounded(drawn[path], *domain.values)

    return {path: value(path, domain) for path, domain in space.items()}


def to_optuna(space: Space, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `distributions` that make these settings."""

    def value(path: str, domain: Domain) -> Any:
        setting = settings[path]
        if domain.kind in ("choice", "grid"):
            return next(n for n, choice in enumerate(domain.values) if _same(choice, setting))
        return round((setting - domain.values[0]) / domain.values[2]) if domain.kind == "quniform" else setting

    return {path: value(path, domain) for path, domain in space.items()}


def _same(first: Any, second: Any) -> bool:
    # True == 1 in Python; as settings they differ.
    return type(first) is type(second) and first == second


def position(domain: Domain, value: Any) -> float:
    """A setting as a number for figures and estimates: a choice's place in the list, else the place on its scale."""
    if domain.kind in ("choice", "grid"):
        return float(next(n for n, choice in enumerate(domain.values) if _same(choice, value)))
    return math.log10(value) if domain.kind == "loguniform" else float(value)

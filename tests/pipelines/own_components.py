"""Components as a user would write them, named in tests by import path."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from strategies.api.strategy import Strategy, StrategyOptions
from strategies.methods.ewc import EWC
from strategies.metrics import Score


class HoldOptions(StrategyOptions):
    lambda_: float = Field(default=1.0, ge=0, alias="lambda", json_schema_extra={"since": 1})
    samples: int = Field(default=10, ge=1)
    layers: tuple[int, ...] = ()


class Hold(Strategy):
    """A strategy with an aliased option."""

    name = "hold"
    family = "regularisation"
    summary = "Holds"
    paper = "none"
    Options = HoldOptions

    @classmethod
    def problems(cls, options: Any, *, setting: str, others: Any) -> list[str]:
        return [f"holds nothing in {setting}: add another strategy"] if not others else []


class Firm(EWC):
    """A method of its own, derived from a built-in one."""


class Remember(Strategy):
    """A rehearsal method that shares nothing with the built-in ones."""

    rehearses = True
    keeps_samples = True


class CheckedOptions(StrategyOptions):
    pair: tuple[int, int] = (0, 1)
    low: float = 0.0
    high: float = 1.0

    @model_validator(mode="before")
    @classmethod
    def _before(cls, data: Any) -> Any:
        return data

    @model_validator(mode="after")
    def _ordered(self) -> CheckedOptions:
        if self.low > self.high:
            raise ValueError("low must not be above high")
        return self


class Checked(Strategy):
    """A strategy whose options check each other."""

    name = "checked"
    family = "regularisation"
    summary = "Checks"
    paper = "none"
    Options = CheckedOptions


class BrokenOptions(StrategyOptions):
    x: int = 0

    @model_validator(mode="after")
    def _fails(self) -> BrokenOptions:
        raise KeyError("a mistake in the user's code")


class Broken(Strategy):
    """A strategy whose options class has a mistake."""

    name = "broken"
    family = "regularisation"
    summary = "Breaks"
    paper = "none"
    Options = BrokenOptions


def dataset(path: Path, rows: int = 10, *, copy: bool = False) -> None:
    """Rows from a file."""


def documented_dataset(path: str, rows: int = 10) -> None:
    """Rows from a file.

    Args:
        path: where the rows are.
        rows: how many rows are read,
            from the first one on.
    """


def any_dataset(**options: Any) -> None:
    """Takes everything."""


class _Blobs:
    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid")

        centres: int = Field(ge=2)

    def __call__(self, centres: int) -> None: ...


blobs = _Blobs()


class Net:
    """A model."""

    layers: ClassVar[int] = 3

    def __init__(self, input_shape: tuple[int, ...], outputs: int, width: int, act: Strategy | None = None) -> None: ...


not_callable = 3


SPREAD = Score("spread", unit="number", better="lower", function=lambda values, truth: float(values.std()))

"""Which samples of a file are for testing, where there are no test files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from pipelines.data.datasets.label_columns import is_columns
from pipelines.data.datasets.stratified_holdout import stratified_holdout
from pipelines.data.samples import TensorSamples

_LAST = re.compile(r"(?:last\s+)?([0-9.]+)\s*%")


def _share(value: Any) -> Any:
    """A share as a number; it may be written as 20% or last 20%."""
    found = _LAST.fullmatch(value.strip()) if isinstance(value, str) else None
    return value if found is None else float(found[1]) / 100


Part = Annotated[float, BeforeValidator(_share), Field(gt=0, lt=1)]


class TestPart(BaseModel):
    """A part of each file that is for testing, or of each experience where a column divides a file into these.

    Attributes:
        id_hash: share of the samples, such as 20%, chosen by a hash of their ids: a sample stays on its side when a
            file grows or is sorted otherwise.
        column: instead, the rows with a value in a column, which is no input.
        value: that value.
        time: instead, the last rows by a column of times; rows of the same moment are on the same side. `last 20%` in
            its place: by the column that the dataset names as its `time`.
        last: which share of the rows that is, such as 20%.
    """

    __test__: ClassVar[bool] = False  # keeps pytest from taking it for a test

    model_config = ConfigDict(extra="forbid", frozen=True)
    in_words: ClassVar[str] = (
        "{id_hash: share}, {column: NAME, value: VALUE}, {time: NAME, last: share} or {time: last share}"
    )

    id_hash: Part | None = None
    column: Annotated[str, Field(min_length=1)] | None = None
    value: str | int | float | bool | None = None
    time: Annotated[str, Field(min_length=1)] | None = None
    last: Part | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_the_time(cls, given: Any) -> Any:
        if isinstance(given, dict) and set(given) == {"time"} and _LAST.fullmatch(str(given["time"]).strip()):
            return {"last": given["time"]}
        return given

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if given not in (["id_hash"], ["column", "value"], ["time", "last"], ["last"]):
            raise ValueError(f"must be one of {self.in_words}")
        return self


def _form(value: object) -> str:
    return "part" if isinstance(value, dict | TestPart) else "path"


# One of the two forms: an error is then reported for the one that was written.
Test = Annotated[Annotated[str, Tag("path")] | Annotated[TestPart, Tag("part")], Discriminator(_form)]
"""The option `test` of a dataset of files: the path of test files, or which part of each file is for testing."""


@dataclass(frozen=True)
class HeldOut:
    """What is held out of samples.

    Attributes:
        fraction: share of each class.
        id_hash: instead: share of all samples, by a hash of their ids; None: by class.
    """

    fraction: float
    id_hash: float | None = None

    def split(self, samples: TensorSamples) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Positions for training and for testing, ascending."""
        if self.id_hash is not None:
            test = hash_of_ids(samples.ids.numpy()) < self.id_hash
            return np.flatnonzero(~test), np.flatnonzero(test)
        # Without classes any row may be held out.
        columns = is_columns(samples.targets)
        strata = np.zeros(len(samples), dtype=np.int64) if columns else samples.targets.numpy()
        return stratified_holdout(strata, self.fraction)


def test_rule(options: Mapping[str, Any]) -> str:
    """Which samples are for testing, in words, as the options of a dataset of files say."""
    test, fraction = options.get("test"), options.get("test_fraction", 0.2)
    if isinstance(test, str):
        return f"the rows of {test}"
    if not isinstance(test, Mapping):
        word = f"{fraction:.0%} of each class, always the same rows, where the data has no test rows of its own"
        return f"{word}; test: {{id_hash: 20%}} would keep a sample on its side when files grow"
    part = TestPart(**test)
    by = options.get("by")
    of = f"each {by['time']}" if isinstance(by, Mapping) else f"each value of {by}" if by else "each file"
    if part.id_hash is not None:
        return f"{part.id_hash:.0%} by a hash of the ids: a sample stays on its side when files grow"
    if part.column is not None:
        return f"rows whose {part.column} is {part.value}"
    return f"the last {part.last:.0%} of {of} by {part.time or options.get('time')}"


test_rule.__test__ = False  # type: ignore[attr-defined]  # keeps pytest from taking it for a test


def has_value(marks: NDArray[Any], value: Any) -> NDArray[np.bool_]:
    """(n,) whether a column has a value in a row, both as text."""
    wanted = as_text(value)
    return np.array([as_text(mark) == wanted for mark in marks.tolist()], dtype=bool)


def as_text(value: Any) -> str:
    """A value of a column as a person writes it in YAML."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def hash_of_ids(ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """A number in [0, 1) for each id, as if drawn at random (SplitMix64: Steele, Lea & Flood 2014)."""
    state = ids.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state ^= state >> np.uint64(31)
    found: NDArray[np.float64] = (state >> np.uint64(11)).astype(np.float64) / 2.0**53
    return found

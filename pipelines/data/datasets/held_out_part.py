"""Which samples of a file are for testing, where there are no test files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from pipelines.data.datasets.label_columns import is_columns
from pipelines.data.datasets.stratified_holdout import stratified_holdout
from pipelines.data.samples import TensorSamples


class TestPart(BaseModel):
    """A part of each file that is for testing.

    Attributes:
        id_hash: share of the samples, chosen by a hash of their ids: a sample stays on its side when a file grows or
            is sorted otherwise.
    """

    __test__: ClassVar[bool] = False  # keeps pytest from taking it for a test

    model_config = ConfigDict(extra="forbid", frozen=True)
    in_words: ClassVar[str] = "{id_hash: share}"

    id_hash: Annotated[float, Field(gt=0, lt=1)]


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


def hash_of_ids(ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """A number in [0, 1) for each id, as if drawn at random (SplitMix64: Steele, Lea & Flood 2014)."""
    state = ids.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state ^= state >> np.uint64(31)
    found: NDArray[np.float64] = (state >> np.uint64(11)).astype(np.float64) / 2.0**53
    return found

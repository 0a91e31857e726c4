"""One column of a table as columns of numbers: numbers standardised, categories as codes, moments as cycles.

What an encoder knows is fitted on the training samples of experience 0 and is plain data. Sums are exactly rounded and
cycles come from tables, so that every machine gets the same bits.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from pipelines.data.features.feature_columns import Kind
from pipelines.data.features.image_encoder import Image
from pipelines.data.features.text_encoder import Text

UNKNOWN, MISSING, FIRST = 0, 1, 2
"""Codes of a categorical column: of a value that experience 0 did not have, of no value, and of the first value."""

_DAY = 86_400
_MINUTES = 1440


class Encoder(Protocol):
    """A fitted column.

    Attributes:
        kind: of the column.
        name: of the column.
    """

    kind: ClassVar[Kind]

    @property
    def name(self) -> str: ...

    @classmethod
    def fit(cls, name: str, values: NDArray[Any], vocabulary: int) -> Self:
        """Fitted on values as `raw_columns.raw_values` gives them."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """What each of its columns of numbers is."""
        ...

    @property
    def size(self) -> int | None:
        """How many codes there are, if its one column is of codes; else None."""
        ...

    def encode(self, values: NDArray[Any]) -> NDArray[np.floating[Any]]:
        """(n,) values to (n, columns) numbers."""
        ...

    def document(self) -> dict[str, Any]:
        """All that it knows, as plain data; `read` is its inverse."""
        ...

    @classmethod
    def read(cls, document: dict[str, Any]) -> Self: ...

    @property
    def words(self) -> str:
        """What it does, for people."""
        ...


@dataclass(frozen=True)
class Numeric:
    """A number as its distance from the mean in standard deviations, 0 where it is missing; and whether it is missing.

    Attributes:
        name: of the column.
        mean, scale: of experience 0, without missing values; scale 1 where all values are the same.
    """

    kind: ClassVar[Kind] = "numeric"

    name: str
    mean: float
    scale: float

    @classmethod
    def fit(cls, name: str, values: NDArray[Any], vocabulary: int) -> Numeric:
        return cls(name, *_moments(values))

    @property
    def columns(self) -> tuple[str, ...]:
        return self.name, f"{self.name} missing"

    @property
    def size(self) -> int | None:
        return None

    def encode(self, values: NDArray[Any]) -> NDArray[np.float64]:
        missing = np.isnan(values)
        with np.errstate(over="ignore"):
            standard = (np.where(missing, self.mean, values) - self.mean) / self.scale
        return np.stack([standard, missing], axis=1)

    def document(self) -> dict[str, Any]:
        return {"kind": self.kind, "name": self.name, "mean": self.mean, "scale": self.scale}

    @classmethod
    def read(cls, document: dict[str, Any]) -> Numeric:
        return cls(str(document["name"]), float(document["mean"]), float(document["scale"]))

    @property
    def words(self) -> str:
        return f"(x - {self.mean:.4g}) / {self.scale:.4g}, and whether it is missing"


@dataclass(frozen=True)
class Categorical:
    """A value as a code: its place in the vocabulary + 2; 1 where it is missing, 0 where the vocabulary lacks it.

    Attributes:
        name: of the column.
        values: the vocabulary, sorted: the values of experience 0, of which only the most frequent where it has more.
    """

    kind: ClassVar[Kind] = "categorical"

    name: str
    values: tuple[str, ...]

    @classmethod
    def fit(cls, name: str, values: NDArray[Any], vocabulary: int) -> Categorical:
        return cls.of_counts(name, Counter(value for value in values.tolist() if value is not None), vocabulary)

    @classmethod
    def of_counts(cls, name: str, counts: Counter[str], vocabulary: int) -> Categorical:
        """Fitted on values of which it is known how often each occurs."""
        often = sorted(counts, key=lambda value: (-counts[value], value))[:vocabulary]
        return cls(name, tuple(sorted(often)))

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def size(self) -> int | None:
        return FIRST + len(self.values)

    def encode(self, values: NDArray[Any]) -> NDArray[np.float64]:
        codes: dict[str | None, int] = {value: FIRST + place for place, value in enumerate(self.values)}
        codes[None] = MISSING
        return np.array([[codes.get(value, UNKNOWN)] for value in values.tolist()], dtype=np.float64).reshape(-1, 1)

    def document(self) -> dict[str, Any]:
        return {"kind": self.kind, "name": self.name, "values": list(self.values)}

    @classmethod
    def read(cls, document: dict[str, Any]) -> Categorical:
        return cls(str(document["name"]), tuple(map(str, document["values"])))

    @property
    def words(self) -> str:
        shown = ", ".join(self.values[:5]) + (", ..." if len(self.values) > 5 else "")
        return f"a code of {len(self.values)} values ({shown}), unknown or missing"


@dataclass(frozen=True)
class Timestamp:
    """A moment (UTC) as sine and cosine of the time of day, the weekday and the month, and the time since experience 0.

    The latter is z / sqrt(1 + |z|) of the distance z from the mean of experience 0 in standard deviations, which grows
    slowly with time. All are 0 where it is missing, which a further column says.

    Attributes:
        name: of the column.
        mean, scale: of experience 0, in seconds since 1970 and in seconds.
    """

    kind: ClassVar[Kind] = "timestamp"

    name: str
    mean: float
    scale: float

    @classmethod
    def fit(cls, name: str, values: NDArray[Any], vocabulary: int) -> Timestamp:
        return cls(name, *_moments(values))

    @property
    def columns(self) -> tuple[str, ...]:
        cycles = (f"{self.name} {cycle} {wave}" for cycle in ("hour", "weekday", "month") for wave in ("sin", "cos"))
        return *cycles, f"{self.name} elapsed", f"{self.name} missing"

    @property
    def size(self) -> int | None:
        return None

    def encode(self, values: NDArray[Any]) -> NDArray[np.float64]:
        missing = np.isnan(values)
        seconds = np.where(missing, 0.0, values)
        days = np.floor(seconds / _DAY).astype(np.int64)
        minutes = np.clip(np.floor((seconds - days * _DAY) / 60).astype(np.int64), 0, _MINUTES - 1)
        months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
        cycles = [_cycle(minutes, _MINUTES), _cycle((days + 3) % 7, 7), _cycle(months, 12)]  # 1970 began on a Thursday
        distance = (seconds - self.mean) / self.scale
        elapsed = distance / np.sqrt(1 + np.abs(distance))
        found = np.concatenate([*cycles, elapsed[:, None]], axis=1)
        found[missing] = 0.0
        return np.concatenate([found, missing[:, None]], axis=1)

    def document(self) -> dict[str, Any]:
        return {"kind": self.kind, "name": self.name, "mean": self.mean, "scale": self.scale}

    @classmethod
    def read(cls, document: dict[str, Any]) -> Timestamp:
        return cls(str(document["name"]), float(document["mean"]), float(document["scale"]))

    @property
    def words(self) -> str:
        return "sine and cosine of hour, weekday and month (UTC), time elapsed, and whether it is missing"


ENCODERS: dict[Kind, type[Encoder]] = {kind.kind: kind for kind in (Numeric, Categorical, Timestamp, Text, Image)}


def _moments(values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation without NaN; 0 and 1 without values, and deviation 1 where all are the same."""
    known = values[~np.isnan(values)]
    if len(known) == 0:
        return 0.0, 1.0
    mean = math.fsum(known) / len(known)
    deviation = math.sqrt(math.fsum((known - mean) ** 2) / len(known))
    return mean, scale_of(mean, deviation)


def scale_of(mean: float, deviation: float) -> float:
    """The standard deviation, or 1 where all values are the same."""
    # Rounding leaves the deviation of equal values a little above 0.
    return deviation if deviation > 1e-12 * max(abs(mean), 1e-300) else 1.0


def _cycle(positions: NDArray[np.int64], length: int) -> NDArray[np.float64]:
    """Sine and cosine, (n, 2), of positions (n,) in a cycle of `length`."""
    angles = (2 * math.pi * position / length for position in range(length))
    # Rounded, because the last bits of sine and cosine differ from library to library.
    table = np.array([[round(math.sin(angle), 9), round(math.cos(angle), 9)] for angle in angles])
    return table[positions]

"""Parts of samples by the values of a column of their inputs: what a gate judges one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

MOST_VALUES = 20
"""A column with more values is divided into quarters."""


def column_slices(
    column: str, values: NDArray[np.float64], value_name: Callable[[float], str] = "{:g}".format
) -> dict[str, NDArray[np.bool_]]:
    """Which samples are in each part, (n,) bool, by the name of the part.

    A column of few values has a part for each of them. One of many is divided at its quartiles; what lies on a quartile
    is in the lower part.

    Args:
        column: its name.
        values: (n,).
        value_name: of a value, for people.
    """
    found = np.unique(values)
    if len(found) <= MOST_VALUES:
        return {f"{column} {value_name(float(value))}": values == value for value in found}
    place = np.searchsorted(np.quantile(values, [0.25, 0.5, 0.75]), values, side="left")
    return {f"{column}, quarter {part + 1} of 4": place == part for part in range(4) if (place == part).any()}

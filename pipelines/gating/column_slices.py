"""Parts of samples by the values of a column of their inputs: what a gate judges one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.suggest import did_you_mean

MOST_VALUES = 20
"""A column with more values is divided into quarters."""


def check_columns(by: str | Sequence[str], known: Sequence[str]) -> None:
    """Refuse names under `gate.slices.by` that are neither `class` nor columns.

    Args:
        known: the columns of the inputs.

    Raises:
        PipelineError: with the columns that there are.
    """
    for name in [by] if isinstance(by, str) else by:
        if name not in ("class", *known):
            close = did_you_mean(name, ["class", *known])
            hint = f", did you mean '{close}'?" if close else "."
            nameless = "Its inputs have no names: use class, or features of a table"
            there = f"The columns are {', '.join(known[:20])}" if known else nameless
            raise PipelineError(f"gate.slices.by: the data has no column '{name}'{hint} {there}")


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

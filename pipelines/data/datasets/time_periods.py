"""Periods of time by which the rows of one file are divided into experiences: the months of a year of transactions."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

Period = Literal["day", "week", "month", "quarter", "year"]


class TimePeriods(BaseModel):
    """An experience for each period of time that has rows, in the order of time.

    Attributes:
        time: how long a period is, by the calendar, in UTC; weeks are those of ISO 8601. The column of the times is the
            one that the dataset names as its `time`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    in_words: ClassVar[str] = "{time: day | week | month | quarter | year}"

    time: Period


def _form(value: object) -> str:
    return "periods" if isinstance(value, dict | TimePeriods) else "column"


# One of the two forms: an error is then reported for the one that was written.
By = Annotated[
    Annotated[Annotated[str, Field(min_length=1)], Tag("column")] | Annotated[TimePeriods, Tag("periods")],
    Discriminator(_form),
]
"""The option `by` of a dataset of one file: a column, or the periods of its column of times."""


def period_names(seconds: NDArray[np.float64], period: Period) -> NDArray[Any]:
    """The period that holds each time, named so that names sort as time does.

    Args:
        seconds: (n,) since 1970, UTC.

    Returns:
        (n,) text: 2024-03-05, 2024-W10, 2024-03, 2024-Q1 or 2024.
    """
    days = np.floor(seconds).astype("datetime64[s]").astype("datetime64[D]")
    if period == "week":
        # A week of ISO 8601 begins on Monday and belongs to the year of its Thursday; 1970 began on a Thursday.
        days = days - (days.astype(np.int64) + 3) % 7 + 3
    years = days.astype("datetime64[Y]")
    if period == "week":
        return _joined(years, "-W", ((days - years.astype("datetime64[D]")).astype(np.int64) // 7 + 1), 2)
    if period == "quarter":
        months = days.astype("datetime64[M]")
        return _joined(years, "-Q", (months - years.astype("datetime64[M]")).astype(np.int64) // 3 + 1, 1)
    unit = {"day": "D", "month": "M", "year": "Y"}[period]
    return days.astype(f"datetime64[{unit}]").astype(str)


def _joined(years: NDArray[Any], between: str, numbers: NDArray[np.int64], digits: int) -> NDArray[Any]:
    # Few periods and many rows: each name is made once.
    keys = years.astype(np.int64) * 100 + numbers
    found, places = np.unique(keys, return_inverse=True)
    names = [f"{np.datetime64(key // 100, 'Y')}{between}{key % 100:0{digits}}" for key in found.tolist()]
    return np.array(names, dtype=str)[places]

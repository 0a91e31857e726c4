"""Card payments month by month, made up, of which 2 % are fraud; how fraud is done changes in May and in September.

The files are what people have: parquet with text, dates, missing values and a label that is nearly always false. Until
April stolen cards pay large sums at night. From May on shops that were not there before take small sums on the web.
From September on a new kind of payment, the wallet, is abused from abroad. What betrayed fraud before then says little.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines import ExperienceDataset, dataset
from pipelines.data.datasets.parquet import load as parquet
from pipelines.data.features.feature_columns import FeatureOptions

COUNTRIES = ("AT", "BE", "CZ", "DE", "FR", "IT", "NL", "PL")
SHARE = 0.02


@dataset
def load(
    folder: str = "fraud-data",
    months: int = 12,
    rows: int = 4000,
    seed: int = 0,
    label: str = "fraud",
    id: str = "tx",  # noqa: A002 (the option's name)
) -> ExperienceDataset:
    """One parquet file for each month, which are written into a folder if they are not there yet.

    Args:
        folder: where they are, a folder for each number of rows and seed below it.
        months: how many, from January on.
        rows: payments in a month.
        seed: of the payments.
        label: column of the labels.
        id: column of the ids.
    """
    place = Path(folder) / f"rows-{rows}-seed-{seed}-months-{months}"
    for month in range(months):
        _write(place / f"{2026 + month // 12}-{month % 12 + 1:02}.parquet", payments(month, rows, seed))
    found = parquet(str(place), label=label, id=id, features=FeatureOptions())
    assert isinstance(found, ExperienceDataset)
    return found


def payments(month: int, rows: int = 4000, seed: int = 0) -> dict[str, NDArray[Any]]:
    """The columns of a month; None and NaN are missing values."""
    random = np.random.default_rng([seed, month])
    start = np.datetime64(f"{2026 + month // 12}-{month % 12 + 1:02}-01", "s")
    seconds = random.integers(0, 28 * 86_400, rows)
    hour = seconds // 3600 % 24
    amount = random.lognormal(3.5 + 0.01 * month, 0.9, rows)
    country = random.choice(COUNTRIES, rows, p=[0.04, 0.05, 0.05, 0.6, 0.1, 0.06, 0.05, 0.05])
    channel = random.choice(["card", "web", "app"], rows, p=[0.5, 0.3, 0.2]).astype(object)
    if month >= 8:
        channel[random.random(rows) < 0.15] = "wallet"
    shops = 60 + 5 * month
    shop = random.zipf(1.4, rows) % shops
    age = random.normal(45, 15, rows).clip(18, 90).round()
    new = shop >= 60
    signal = _signal(month, amount, hour, country != "DE", channel, new)
    risk = signal + random.gumbel(0, 0.35, rows)
    fraud = np.zeros(rows, dtype=bool)
    fraud[np.argsort(-risk)[: max(round(SHARE * rows), 1)]] = True
    merchant = np.array([f"shop-{number:03}" for number in shop], dtype=object)
    merchant[random.random(rows) < 0.03] = None
    age[random.random(rows) < 0.1] = np.nan
    order = np.argsort(seconds, kind="stable")
    columns: dict[str, NDArray[Any]] = {
        "at": start + seconds.astype("timedelta64[s]"),
        "amount": amount.round(2),
        "merchant": merchant,
        "country": country.astype(object),
        "channel": channel,
        "age": age,
        "fraud": fraud,
    }
    return {"tx": np.arange(rows) + month * 10_000_000, **{name: values[order] for name, values in columns.items()}}


def _signal(
    month: int,
    amount: NDArray[Any],
    hour: NDArray[Any],
    abroad: NDArray[Any],
    channel: NDArray[Any],
    new: NDArray[Any],
) -> NDArray[Any]:
    """How much a payment looks like the fraud of its month."""
    found: NDArray[Any]
    if month < 4:
        found = 1.5 * (hour < 6) + 1.2 * (amount > 80) + 0.6 * abroad
    elif month < 8:
        found = 1.5 * (channel == "web") + 1.2 * (amount < 20) + 1.0 * new
    else:
        found = 1.8 * (channel == "wallet") + 1.2 * abroad + 0.5 * (hour >= 20)
    return found


def _write(file: Path, columns: dict[str, NDArray[Any]]) -> None:
    import pyarrow
    from pyarrow import parquet as files

    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    table = pyarrow.table({name: pyarrow.array(values, from_pandas=True) for name, values in columns.items()})
    files.write_table(table, partial)
    partial.replace(file)

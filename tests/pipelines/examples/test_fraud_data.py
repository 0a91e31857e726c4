from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.examples.fraud_data import load, payments


def share(columns: dict[str, np.ndarray], what: np.ndarray) -> float:
    """The share of the fraud among payments that look so."""
    return float(what[columns["fraud"]].mean())


def test_months_are_as_people_have_them() -> None:
    first, same, other = payments(0, 2000), payments(0, 2000), payments(11, 2000)
    for columns in (first, other):
        assert columns["fraud"].mean() == 0.02
        assert {type(value) for value in columns["merchant"]} == {str, type(None)}
        assert 0.05 < np.isnan(columns["age"]).mean() < 0.15
        assert (np.diff(columns["at"]) >= np.timedelta64(0)).all()
    assert all(pa.array(first[n], from_pandas=True).equals(pa.array(same[n], from_pandas=True)) for n in first)
    assert not set(first["tx"]) & set(other["tx"])


def test_what_betrays_fraud_changes() -> None:
    january, may, december = (payments(month, 4000) for month in (0, 4, 11))
    assert share(january, january["amount"] > 80) > 0.6 > 0.3 > share(may, may["amount"] > 80)
    assert share(may, may["channel"] == "web") > 0.8 > 0.5 > share(january, january["channel"] == "web")
    assert share(december, december["channel"] == "wallet") > 0.8 and "wallet" not in january["channel"]


def test_files_are_written_once(tmp_path: Path) -> None:
    found = load(str(tmp_path), months=2, rows=300)
    assert len(found) == 2 and found.class_names == ("false", "true")
    (folder,) = tmp_path.iterdir()
    written = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert set(written) == {"2026-01.parquet", "2026-02.parquet"}
    load(str(tmp_path), months=2, rows=300)
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == written
    fitted = found.fitted(0)
    assert fitted.preprocessing is not None
    kinds = {"at": "timestamp", "amount": "numeric", "merchant": "categorical", "age": "numeric"}
    assert fitted.preprocessing.kinds == {**kinds, "country": "categorical", "channel": "categorical"}

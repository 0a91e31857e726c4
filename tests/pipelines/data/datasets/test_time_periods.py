"""One file that the periods of a column of times divide into experiences."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.build import make_stream
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import PipelineError
from pipelines.data.datasets.time_periods import Period, period_names
from pipelines.data.experience_names import experience_names

_CALENDAR: dict[Period, Any] = {
    "day": lambda at: f"{at:%Y-%m-%d}",
    "week": lambda at: "{}-W{:02}".format(*at.isocalendar()[:2]),
    "month": lambda at: f"{at:%Y-%m}",
    "quarter": lambda at: f"{at.year}-Q{(at.month + 2) // 3}",
    "year": lambda at: f"{at.year}",
}


@given(st.lists(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)), min_size=1))
def test_periods_are_those_of_the_calendar(moments: list[datetime]) -> None:
    seconds = np.array([(at - datetime(1970, 1, 1)) / timedelta(seconds=1) for at in moments])
    for period, name in _CALENDAR.items():
        assert period_names(seconds, period).tolist() == [name(at) for at in moments]


def rows(count: int = 90) -> pd.DataFrame:
    """Four months, mixed: November 2023 to February 2024."""
    draw = np.random.default_rng(0)
    at = pd.Timestamp("2023-11-10") + pd.to_timedelta(draw.integers(0, 100 * 86400, count), unit="s")
    return pd.DataFrame({"at": at, "x": draw.normal(size=count), "y": np.arange(count) % 2, "key": np.arange(count)})


def write(kind: str, folder: Path, table: pd.DataFrame) -> Path:
    path = folder / f"rows.{kind}"
    if kind == "csv":
        table.to_csv(path, index=False)
    elif kind == "jsonl":
        table.to_json(path, orient="records", lines=True, date_format="iso")
    elif kind == "parquet":
        table.to_parquet(path, index=False)
    else:  # as Hugging Face's save_to_disk writes it
        path.mkdir()
        arrow = pyarrow.Table.from_pandas(table, preserve_index=False)
        with pyarrow.ipc.new_stream(str(path / "data.arrow"), arrow.schema) as stream:
            stream.write_table(arrow)
        (path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}]}))
        (path / "dataset_info.json").write_text(json.dumps({"features": {name: {} for name in table}}))
    return path


def stream_of(path: Path, kind: str, options: str) -> Any:
    return make_stream(
        load_text(
            "name: t\nmodel: tabular-mlp\nstream:\n  setting: domain-incremental\n"
            f"  dataset: {{name: {kind}, path: {path}, label: y, id: key, {options}}}\n"
        )
    )


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "hugging-face"])
@pytest.mark.parametrize("features", ["", ", features: auto", ", features: {ignore: [at]}"])
def test_each_period_is_an_experience(kind: str, features: str, tmp_path: Path) -> None:
    table = rows()
    stream = stream_of(
        write(kind, tmp_path, table), kind, f"time: at, by: {{time: month}}, test: {{time: last 25%}}{features}"
    )
    months = ["2023-11", "2023-12", "2024-01", "2024-02"]
    assert experience_names(stream) == tuple(months)
    for experience, month in zip(stream, months, strict=True):
        own = table[table["at"].dt.strftime("%Y-%m") == month].sort_values("at")["key"].tolist()
        cut = len(own) - round(0.25 * len(own))
        assert set(experience.train.ids.tolist()) == set(own[:cut])
        assert set(experience.test.ids.tolist()) == set(own[cut:])
    # The times are no input of numbers; as a feature they are one like any other, fitted on the first period.
    used = None if stream.preprocessing is None else [encoder.name for encoder in stream.preprocessing.encoders]
    assert used == {"": None, ", features: auto": ["at", "x"]}.get(features, ["x"])
    assert stream.input_shape[0] == 1 or used is not None


@pytest.mark.parametrize(
    ("times", "options", "message"),
    [
        (["2024-01-01", None], "time: at, by: {time: month}", r"rows\.csv: column 'at' has no value in row 1"),
        (["2024-01-01", "soon"], "time: at, by: {time: month}", r"rows\.csv: .*'soon', .* not ISO 8601, in row 1"),
        ([2024, 2025], "time: at, by: {time: year}", r"'at' is a timestamp, but of the type int64 here"),
        (["2024-01-01"], "by: {time: month}", r"needs the column of the times: name it, dataset\.time: COLUMN"),
        (["2024-01-01"], "time: att, by: {time: month}", r"no column 'att'; .* did you mean 'at'\? .*dataset\.time"),
        (["2024-01-01"], "time: at, by: {time: months}", r"by\.time: must be one of day, week, month"),
        (["2024-01-01"], "test: {time: last 20%}", r"the last 20% need the column of the times: .* dataset\.time"),
    ],
)  # fmt: skip
def test_rows_without_a_time_are_named(times: list[Any], options: str, message: str, tmp_path: Path) -> None:
    table = pd.DataFrame({"at": times, "x": 0.5, "y": np.arange(len(times)) % 2, "key": range(len(times))})
    with pytest.raises(PipelineError, match=message):
        stream_of(write("csv", tmp_path, table), "csv", options)

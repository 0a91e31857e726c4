"""Files whose columns are features: in every format the same numbers, fitted on experience 0 and on nothing else.

Covers: `pipelines/data/features/feature_warnings.py`
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from orchestrator.lineage.plan import make_plan
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import DataError, PipelineError
from pipelines.data.features.feature_warnings import feature_warnings
from pipelines.data.streams import Stream, build_stream

FORMATS = ("parquet", "csv", "jsonl")


def frame(month: int = 0, rows: int = 40) -> pd.DataFrame:
    draw = np.random.default_rng(month)
    made = pd.DataFrame(
        {
            "tx": np.arange(rows) + 1000 * month,
            "amount": draw.integers(1, 900, rows) / 4,
            "country": draw.choice(["DE", "FR", "PL"], rows),
            "zip": draw.choice(["007", "7", "10115"], rows),
            "at": pd.Timestamp("2026-01-01") + pd.to_timedelta(draw.integers(0, 10**6, rows) + 10**6 * month, unit="s"),
            "kind": np.where(np.arange(rows) % 4 < 2, "good", "bad") if rows else "",
        }
    )
    made.loc[3, ["amount", "country"]] = None
    return made


def write(made: pd.DataFrame, path: Path) -> None:
    if path.suffix == ".parquet":
        made.to_parquet(path)
    elif path.suffix == ".csv":
        made.to_csv(path, index=False)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in _rows(made)))


def _rows(made: pd.DataFrame) -> list[dict[str, Any]]:
    kept = made.astype(object).where(made.notna(), None)
    return [{**row, "at": str(row["at"])} for row in kept.to_dict("records")]


def stream(path: Path, extra: str = "", how: str = "setting: domain-incremental") -> Stream:
    return build_stream(pipeline(path, extra, how).stream, 0)


def pipeline(path: Path, extra: str = "", how: str = "setting: domain-incremental", model: str = "tabular-mlp") -> Any:
    kind = next(suffix for suffix in FORMATS if list(path.glob(f"*.{suffix}")) or path.suffix == f".{suffix}")
    return load_text(
        f"name: t\nmodel: {model}\nstream:\n  {how}\n  dataset: {{name: {kind}, path: {path}, label: kind, id: tx, "
        f"features: {{categorical: [zip]}}{extra}}}\n"
    )


def tensors(found: Stream) -> list[torch.Tensor]:
    sets = [part for experience in found for part in (experience.train, experience.test)]
    return [samples.take(torch.arange(len(samples)))[0] for samples in sets]


def test_the_format_does_not_matter(tmp_path: Path) -> None:
    digests, inputs = set(), []
    for kind in FORMATS:
        (tmp_path / kind).mkdir()
        for month in range(2):
            write(frame(month), tmp_path / kind / f"{month}.{kind}")
        found = stream(tmp_path / kind)
        assert found.preprocessing is not None
        digests.add(found.preprocessing.digest)
        inputs.append(tensors(found))
    assert len(digests) == 1
    for other in inputs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(inputs[0], other, strict=True))
    assert inputs[0][0].dtype == torch.float32


def test_later_files_change_nothing_of_what_is_fitted(tmp_path: Path) -> None:
    for month in range(2):
        write(frame(month), tmp_path / f"{month}.csv")
    before = stream(tmp_path)
    changed = frame(1).assign(amount=lambda rows: rows["amount"] * 100, country="XX", zip="99999")
    write(changed, tmp_path / "1.csv")
    after = stream(tmp_path)
    assert after.preprocessing == before.preprocessing
    assert torch.equal(tensors(after)[0], tensors(before)[0])
    layout = after.layout
    assert layout is not None
    for position, _ in layout.categories:
        assert set(tensors(after)[2][:, position].tolist()) == {0.0}  # unknown


def test_test_samples_change_nothing_of_what_is_fitted(tmp_path: Path) -> None:
    write(frame(), tmp_path / "0.csv")
    before = stream(tmp_path)
    held_out = set(before[0].test.ids.tolist())
    changed = frame()
    changed.loc[changed["tx"].isin(held_out), "amount"] = 1e6
    write(changed, tmp_path / "0.csv")
    assert stream(tmp_path).preprocessing == before.preprocessing


def test_one_file_that_is_split_by_label_is_fitted_on_the_classes_of_experience_0(tmp_path: Path) -> None:
    file = tmp_path / "all.csv"
    made = frame()
    made["amount"] = np.where(made["kind"] == "good", made["amount"], 1e6)
    write(made, file)
    how = "order: [[good], [bad]]"
    found = stream(file, how=how)
    assert found.preprocessing is not None
    encoder = next(e for e in found.preprocessing.encoders if e.name == "amount")
    assert encoder.document()["mean"] < 300
    other = stream(file, how="order: [[bad], [good]]")
    assert other.preprocessing != found.preprocessing


def test_a_stream_is_pickled_for_workers_on_other_machines(tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for file in ("one.csv", "many/0.csv"):
        write(frame(), tmp_path / file)
    for found in (stream(tmp_path / "many"), stream(tmp_path / "one.csv", how="order: [[good], [bad]]")):
        again = pickle.loads(pickle.dumps(found))
        assert again.preprocessing == found.preprocessing and again.layout == found.layout
        assert all(torch.equal(a, b) for a, b in zip(tensors(again), tensors(found), strict=True))


def test_an_id_knows_the_unit_of_a_column(tmp_path: Path) -> None:
    ids = []
    for name, factor in (("euros", 1), ("cents", 128)):
        (tmp_path / name).mkdir()
        write(frame().assign(amount=lambda rows, factor=factor: rows["amount"] * factor), tmp_path / name / "0.parquet")
        made = pipeline(tmp_path / name)
        built = build_stream(made.stream, 0)
        ids.append((built.fingerprint(0), make_plan(made, built)[0].id))
    assert ids[0][0] == ids[1][0] and ids[0][1] != ids[1][1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows.drop(columns="zip"), r"1\.csv: has no column 'zip', which experience 0 has"),
        (lambda rows: rows.assign(new=1), r"1\.csv: has a column 'new', which experience 0 has not.*ignore: \[new\]"),
        (lambda rows: rows.assign(amount=["1"] * 39 + ["lots"]), r"1\.csv: column 'amount' .* 'lots' in row 39"),
        (lambda rows: rows.assign(at="soon"), r"1\.csv: column 'at' .* 'soon', which is not ISO 8601, in row 0"),
    ],
)
def test_a_schema_that_drifts_is_refused(change: Any, said: str, tmp_path: Path) -> None:
    write(frame(0), tmp_path / "0.csv")
    write(change(frame(1)), tmp_path / "1.csv")
    with pytest.raises(DataError, match=said):
        tensors(stream(tmp_path))


def test_options_are_checked(tmp_path: Path) -> None:
    write(frame(), tmp_path / "0.csv")
    text = "name: t\nmodel: mlp\nstream: {dataset: {name: csv, path: x, features: FEATURES}}"
    with pytest.raises(PipelineError, match=r"features\.numerc: unknown key, did you mean 'numeric'"):
        load_text(text.replace("FEATURES", "{numerc: [a]}"))
    with pytest.raises(PipelineError, match=r"features: must be one of auto"):
        load_text(text.replace("FEATURES", "all"))
    with pytest.raises(DataError, match="leave out shape and channels"):
        stream(tmp_path, ", shape: [2]")


def test_a_model_that_takes_codes_for_numbers_is_warned_of(tmp_path: Path) -> None:
    write(frame(), tmp_path / "0.csv")
    plain, tabular = (pipeline(tmp_path, model=name) for name in ("mlp", "tabular-mlp"))
    (said,) = feature_warnings(plain, build_stream(plain.stream, 0))
    assert "mlp takes the codes of country, zip for numbers" in said and "tabular-mlp" in said
    assert feature_warnings(tabular, build_stream(tabular.stream, 0)) == []

"""Tables in lanes are the tables in memory: features, targets that are columns, and rows divided by a column.

Covers: `pipelines/data/blocks/fit_features.py` `pipelines/data/blocks/block_tables.py`
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import csv, parquet

from pipelines.build import make_learner, train_settings
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.block_samples import BlockSamples
from pipelines.data.features import streamed_fit
from pipelines.data.streams import Stream, build_stream

N = 60


def table(seed: int, n: int = N) -> pa.Table:
    draw = np.random.default_rng(seed)
    amount = draw.normal(50, 9, n)
    codes = [f"{code:03}" for code in draw.integers(0, 12, n)]
    return pa.table(
        {
            "amount": pa.array(amount, mask=draw.random(n) < 0.1),
            "code": codes,
            "site": draw.choice(["north", "south", "site 10"], n),
            "label": (amount > 50).astype(np.int64),
            "sold": (amount > 45).astype(np.int64),
            "value": amount * 3 + 1,
        }
    )


def write_parquet(made: pa.Table, path: Path) -> None:
    parquet.write_table(made, path, row_group_size=17)


def write_csv(made: pa.Table, path: Path) -> None:
    csv.write_csv(made, path)


WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {"parquet": write_parquet, "csv": write_csv}


class Kept:
    """An index that is kept, as beside a lineage."""

    def __init__(self) -> None:
        self.data: bytes | None = None

    def load(self) -> bytes | None:
        return self.data

    def save(self, data: bytes) -> None:
        self.data = data


def stream(
    folder: Path, form: str, dataset: str, more: str, *, kind: Any = "classes", index: Kept | None = None
) -> Stream:
    path, test = folder / f"train.{form}", folder / f"test.{form}"
    if not path.exists():
        WRITERS[form](table(0), path)
        WRITERS[form](table(1, 30), test)
    text = (
        f"name: t\nstream: {{dataset: {{name: {form}, path: {path}, test: {test}, {dataset}}}, {more}}}\nmodel: mlp\n"
        f"objective: { {'numbers': 'regression', 'labels': 'multi-label'}.get(kind, 'classification') }\n"
    )
    pipeline = load_text(text)
    return build_stream(pipeline.stream, pipeline.seed, kind, index)


FEATURES = "features: {categorical: [code], ignore: [sold, value, site]}"


@pytest.mark.parametrize(
    ("dataset", "more", "kind"),
    [
        (FEATURES, "experiences: 2", "classes"),
        ("features: {categorical: [code], ignore: [sold, value]}, by: site", "setting: domain-incremental", "classes"),
        ("inputs: [sold], label: value", "setting: domain-incremental", "numbers"),
        ("inputs: [value], label: [label, sold], by: site", "setting: domain-incremental", "labels"),
    ],
)
@pytest.mark.parametrize("form", WRITERS)
def test_lanes_have_the_samples_that_memory_has(form: str, dataset: str, more: str, kind: str, tmp_path: Path) -> None:
    whole = stream(tmp_path, form, dataset, more, kind=kind)
    lanes = stream(tmp_path, form, dataset, f"{more}, lanes: 3, window: 2", kind=kind)
    assert lanes.preprocessing == whole.preprocessing
    assert (lanes.input_shape, lanes.outputs, lanes.class_names) == (
        whole.input_shape,
        whole.outputs,
        whole.class_names,
    )
    for one, other in zip(lanes, whole, strict=True):
        assert isinstance(one.train, BlockSamples) and one.classes == other.classes
        for ours, theirs in ((one.train, other.train), (one.test, other.test)):
            assert torch.equal(ours.ids, theirs.ids) and torch.equal(ours.targets, theirs.targets)
            for mine, held in zip(
                ours.take(torch.arange(len(ours))), theirs.take(torch.arange(len(theirs))), strict=True
            ):
                assert mine.dtype == held.dtype and torch.equal(mine, held)
    assert len({lanes.fingerprint(n) for n in range(len(lanes))}) == len(lanes)


def test_a_preprocessing_is_fitted_once_for_what_the_files_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    made = streamed_fit.ExactSum.add

    def noted(self: streamed_fit.ExactSum, values: Any) -> None:
        calls.append(len(values))
        made(self, values)

    monkeypatch.setattr(streamed_fit.ExactSum, "add", noted)
    index, more = Kept(), "experiences: 2, lanes: 3"
    first = stream(tmp_path, "parquet", FEATURES, more, index=index)
    assert calls
    calls.clear()
    again = stream(tmp_path, "parquet", FEATURES, more, index=index)
    assert not calls and again.preprocessing == first.preprocessing
    assert [again.fingerprint(n) for n in range(2)] == [first.fingerprint(n) for n in range(2)]
    other = stream(tmp_path, "parquet", FEATURES.replace("[code]", "[code], vocabulary: 3"), more, index=index)
    assert calls and other.fingerprint(0) != first.fingerprint(0)


def test_a_plan_costs_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fingerprint of an experience is that of its blocks: no block of the past is looked at again for it."""
    from pipelines.data.datasets.parquet_blocks import ParquetBlocks

    read: list[str] = []
    for name in ("survey", "hashes"):
        done = getattr(ParquetBlocks, name)

        def noted(self: ParquetBlocks, location: Any, *rest: Any, done: Any = done) -> Any:
            read.append(location.name)
            return done(self, location, *rest)

        monkeypatch.setattr(ParquetBlocks, name, noted)
    index, folder = Kept(), tmp_path / "stream"
    folder.mkdir()

    def plan() -> list[str]:
        text = (
            f"name: t\nstream: {{dataset: {{name: parquet, path: {folder}, inputs: [value], classes: 2}}, "
            "setting: domain-incremental, lanes: 2}\nmodel: mlp\n"
        )
        pipeline = load_text(text)
        made = build_stream(pipeline.stream, pipeline.seed, "classes", index)
        return [made.fingerprint(n) for n in range(len(made))] + [made.test_fingerprint(n) for n in range(len(made))]

    write_parquet(table(0), folder / "0.parquet")
    write_parquet(table(1), folder / "1.parquet")
    plan()
    assert sorted(read) == ["0.parquet"] * 2 + ["1.parquet"] * 2
    read.clear()
    before = plan()
    assert not read
    write_parquet(table(2), folder / "2.parquet")
    after = plan()
    assert read == ["2.parquet"] * 2 and after[:2] == before[:2]


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    more = "setting: domain-incremental, lanes: 2"
    with pytest.raises(DataError, match="leave out shape and channels"):
        stream(tmp_path, "parquet", f"{FEATURES}, shape: [2]", more)
    with pytest.raises(DataError, match=r"column 'site' is numeric, but has '\w+' in row 0"):
        stream(
            tmp_path, "parquet", "features: {numeric: [site], ignore: [sold, value, code]}", more + ", experiences: 2"
        )
    folder = tmp_path / "folder"
    folder.mkdir()
    write_parquet(table(0), folder / "0.parquet")
    write_parquet(table(1).append_column("more", pa.array(range(N))), folder / "1.parquet")
    text = f"name: t\nstream: {{dataset: {{name: parquet, path: {folder}, by: site}}, {more}}}\nmodel: mlp\n"
    pipeline = load_text(text)
    with pytest.raises(DataError, match="has one file for each experience: leave out dataset"):
        build_stream(pipeline.stream, pipeline.seed)
    pipeline = load_text(text.replace("by: site", FEATURES))
    made = build_stream(pipeline.stream, pipeline.seed)
    with pytest.raises(DataError, match="has a column 'more', which experience 0 has not"):
        made[1].train.take(torch.arange(20))


def test_numbers_are_learned_as_in_memory(tmp_path: Path) -> None:
    """Objectives look at targets block by block."""
    found = []
    for lanes in (", lanes: 1", ""):
        dataset, more = "inputs: [sold], label: [value, amount]", f"setting: domain-incremental{lanes}"
        write_parquet(table(0).set_column(0, "amount", pa.array(np.arange(N) * 1.5)), tmp_path / "train.parquet")
        write_parquet(table(1, 30).set_column(0, "amount", pa.array(np.arange(30.0))), tmp_path / "test.parquet")
        one = stream(tmp_path, "parquet", dataset, more, kind="numbers")
        pipeline = load_text(
            "name: t\nstream: {dataset: digits, setting: domain-incremental}\nmodel: mlp\nobjective: regression\n"
        )
        learner = make_learner(pipeline, one)
        next(learner.steps(one[0], train_settings(pipeline, 0)))
        found.append(learner.state_dict()["objective"])
    for name, value in found[1].items():
        torch.testing.assert_close(found[0][name], value, rtol=1e-12, atol=0)

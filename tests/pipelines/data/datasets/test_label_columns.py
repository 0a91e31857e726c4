"""Targets in columns, from every kind of data to the stream."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets import csv_files, jsonl_files, npz, parquet
from pipelines.data.datasets.dataset import Dataset, adopt, from_tensors
from pipelines.data.datasets.label_columns import LabelColumns, column_values, is_columns, kind_problems, label_columns
from pipelines.data.datasets.listed_experiences import experiences_in
from pipelines.data.streams import Stream, build_stream
from pipelines.data.validation_split import hold_out

ROWS = 40
INPUTS = np.arange(ROWS * 2, dtype=np.float32).reshape(ROWS, 2)
NUMBERS = np.stack([1e6 + np.arange(ROWS) / 8, -np.arange(ROWS)], 1)
LABELS = np.stack([np.arange(ROWS) % 2, np.arange(ROWS) % 3 == 0, np.arange(ROWS) > 90], 1).astype(np.int64)


def write(kind: str, folder: Path, targets: np.ndarray[Any, Any], name: str = "data") -> tuple[Any, dict[str, Any]]:
    """A file with the targets in columns t0, t1, ...; the function that loads it, and its options."""
    columns = {f"t{k}": targets[:, k] for k in range(targets.shape[1])}
    table = {"a": INPUTS[:, 0], "b": INPUTS[:, 1], **columns}
    path = folder / f"{name}.{kind}"
    if kind == "npz":
        np.savez(path, x=INPUTS, y=targets)
        return npz.load, {"path": str(path)}
    if kind == "parquet":
        import pyarrow
        from pyarrow import parquet as arrow

        arrow.write_table(pyarrow.table(table), path)
        return parquet.load, {"path": str(path), "label": list(columns)}
    if kind == "csv":
        rows = [",".join(table), *(",".join(repr(v.item()) for v in row) for row in zip(*table.values(), strict=True))]
        path.write_text("\n".join(rows))
        return csv_files.load, {"path": str(path), "label": list(columns)}
    lines = ({"x": x, "t": t} for x, t in zip(INPUTS.tolist(), targets.tolist(), strict=True))
    path.write_text("\n".join(str(line).replace("'", '"') for line in lines))
    return jsonl_files.load, {"path": str(path), "label": "t"}


@pytest.mark.parametrize("kind", ["npz", "parquet", "csv", "jsonl"])
@pytest.mark.parametrize(("targets", "learns", "dtype"), [
    (NUMBERS, "numbers", torch.float64), (LABELS, "labels", torch.uint8), (NUMBERS[:, :1], "numbers", torch.float64),
])  # fmt: skip
def test_every_format_gives_the_same_targets(
    kind: str, targets: np.ndarray[Any, Any], learns: Any, dtype: torch.dtype, tmp_path: Path
) -> None:
    load, options = write(kind, tmp_path, targets)
    dataset = load(**options, target_kind=learns)
    assert isinstance(dataset, Dataset)
    assert dataset.classes == targets.shape[1] and dataset.train.targets.dtype == dtype
    assert len(dataset.train) == 32 and len(dataset.test) == 8
    both = torch.cat([dataset.train.targets, dataset.test.targets])
    ids = torch.cat([dataset.train.ids, dataset.test.ids])
    assert torch.equal(both, torch.from_numpy(targets).to(dtype)[ids])
    names = {"npz": None, "jsonl": None}.get(kind, tuple(f"t{k}" for k in range(targets.shape[1])))
    assert dataset.class_names == (("t",) if kind == "jsonl" and len(targets[0]) == 1 else
                                   ("y",) if kind == "npz" and len(targets[0]) == 1 else names)  # fmt: skip


def settings(load: Callable[..., Any], options: dict[str, Any], **more: Any) -> Any:
    from pipelines.config import components

    name = {npz.load: "npz", csv_files.load: "csv"}[load]
    assert components.resolve("datasets", name) is load
    dataset = SimpleNamespace(name=name, options=options)
    given = {"setting": "domain-incremental", "experiences": None, "order": "natural", "transform": None, "blurry": 0.0}
    return SimpleNamespace(dataset=dataset, **{**given, **more})


def folder_of(tmp_path: Path, kind: str = "npz", count: int = 3) -> tuple[Any, dict[str, Any]]:
    for index in range(count):
        load, options = write(kind, tmp_path, NUMBERS + index, f"month{index}")
    return load, {**options, "path": str(tmp_path)}


def test_a_folder_is_a_stream_of_domains_with_one_output_for_each_column(tmp_path: Path) -> None:
    load, options = folder_of(tmp_path)
    stream = build_stream(settings(load, options), 0, "numbers")
    assert (len(stream), stream.outputs) == (3, 2)
    assert [e.outputs for e in stream] == [None] * 3 and [e.classes for e in stream] == [()] * 3
    assert float(stream[2].train.targets.max()) == float(NUMBERS.max()) + 2
    assert len({stream.fingerprint(i) for i in range(3)}) == 3
    other = tmp_path / "csv"
    other.mkdir()
    # The same content in another format has the same fingerprint: there inputs are float32, too.
    same = build_stream(settings(*folder_of(other, "csv")), 0, "numbers")
    assert [stream.fingerprint(i) for i in range(3)] == [same.fingerprint(i) for i in range(3)]
    held = hold_out(pickle.loads(pickle.dumps(stream)), 0.25, 3)
    assert [len(e.test) for e in held] == [8] * 3 and [len(e.train) for e in held] == [24] * 3


def test_tasks_have_units_of_their_own(tmp_path: Path) -> None:
    load, options = folder_of(tmp_path)
    stream = build_stream(settings(load, options, setting="task-incremental"), 0, "numbers")
    assert stream.outputs == 6 and [e.outputs for e in stream] == [(0, 1), (2, 3), (4, 5)]
    permuted = settings(*write("npz", tmp_path, LABELS), transform=SimpleNamespace(name="permute", options={}))
    permuted.experiences = 3
    domains = build_stream(permuted, 0, "labels")
    assert (domains.outputs, len({int(i) for e in domains for i in e.train.ids})) == (3, 96)
    permuted.setting = "task-incremental"
    assert [e.outputs for e in build_stream(permuted, 0, "labels")] == [(0, 1, 2), (3, 4, 5), (6, 7, 8)]


def test_one_file_is_one_experience_unless_something_divides_it(tmp_path: Path) -> None:
    load, options = write("npz", tmp_path, NUMBERS)
    stream = build_stream(settings(load, options), 0, "numbers")
    assert isinstance(stream, Stream) and len(stream) == 1 and len(stream[0].train) == 32
    with pytest.raises(DataError, match="no classes by which it could be divided into experiences: name the column"):
        build_stream(settings(load, options, experiences=2), 0, "numbers")


def test_functions_give_arrays_map_style_datasets_or_experiences() -> None:
    pair = ((INPUTS, NUMBERS[:, 0]), (INPUTS, NUMBERS[:, 0]))
    flat = adopt("mine", pair, "numbers")
    assert isinstance(flat, Dataset) and flat.train.targets.shape == (ROWS, 1) and flat.classes == 1
    data = TensorDataset(torch.from_numpy(INPUTS), torch.from_numpy(LABELS))
    mapped = adopt("mine", (data, data), "labels")
    assert isinstance(mapped, Dataset) and torch.equal(mapped.train.targets, torch.from_numpy(LABELS).to(torch.uint8))
    listed = experiences_in("mine", [pair, pair], "numbers")
    assert listed is not None and listed.classes_of(1) == () and is_columns(listed.train(1).targets)
    assert torch.equal(listed.train(1).ids, (1 << 40) + torch.arange(ROWS))
    with pytest.raises(DataError, match="2 columns of labels, where experience 0 has 1"):
        experiences_in("mine", [pair, ((INPUTS, NUMBERS), (INPUTS, NUMBERS))], "numbers")
    made = from_tensors("made", (INPUTS, NUMBERS), (INPUTS, NUMBERS), kind="numbers")
    assert adopt("made", made, "numbers") is made
    with pytest.raises(DataError, match="has numbers as targets: set objective: regression"):
        adopt("made", made)


@pytest.mark.parametrize(
    ("labels", "kind", "words"),
    [
        ([1.0, np.nan], "numbers", "label nan in row 1 does not fit: labels are finite numbers"),
        ([[1, 0], [1, 2]], "labels", "label 2 in row 1, column 1 does not fit: labels are 0 or 1"),
        (["a", "b"], "numbers", "labels must be numbers for this objective, not text, such as"),
        (np.zeros((2, 0)), "numbers", r"labels must have shape \(n,\) or \(n, k\), got \(2, 0\)"),
        (np.zeros((2, 1, 1)), "labels", "labels must have shape"),
    ],
)
def test_labels_that_do_not_fit_are_reported_with_row_and_column(labels: Any, kind: Any, words: str) -> None:
    with pytest.raises(DataError, match=f"^file.csv: {words}"):
        column_values(np.asarray(labels), kind, "file.csv")


def test_files_have_the_same_columns_and_no_classes(tmp_path: Path) -> None:
    columns = label_columns("numbers", NUMBERS, ("a",), None)
    assert columns == LabelColumns("numbers", 2, None)
    with pytest.raises(DataError, match="has 1 columns of labels, where other files have 2"):
        columns.numbers(NUMBERS[:, :1], "b.csv")
    with pytest.raises(DataError, match="classes: is for labels that are classes"):
        label_columns("numbers", NUMBERS, None, 3)
    load, options = write("npz", tmp_path, NUMBERS)
    with pytest.raises(DataError, match="several columns are for objective: regression or objective: multi-label"):
        load(**options)
    load, options = write("csv", tmp_path, NUMBERS)
    (tmp_path / "data.csv").write_text((tmp_path / "data.csv").read_text().replace("1000000.5", "cold"))
    with pytest.raises(DataError, match="label column 't0' is not numbers but string"):
        load(**options, target_kind="numbers")
    assert kind_problems("a", torch.zeros(2, 1, dtype=torch.uint8), "numbers") == [
        "a: has labels as targets: the objective learns numbers, (n, k) float64"
    ]
    assert "has classes" in kind_problems("a", torch.zeros(2, dtype=torch.int64), "labels")[0]

"""Text files and archives by blocks are what they are in memory, wherever the blocks end.

Covers: `pipelines/data/datasets/csv_blocks.py` `pipelines/data/datasets/jsonl_blocks.py`
Covers: `pipelines/data/datasets/npz_blocks.py` `pipelines/data/datasets/csv_dialect.py`
Covers: `pipelines/data/blocks/block_tables.py`
"""

from __future__ import annotations

import csv
import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.block_dataset import load_blocks
from pipelines.data.blocks.block_index import IndexStore
from pipelines.data.blocks.block_reader import BlockReader
from pipelines.data.blocks.block_samples import BlockSamples
from pipelines.data.datasets import csv_files, jsonl_files, npz
from pipelines.data.datasets.arrow_columns import Columns
from pipelines.data.datasets.csv_blocks import CsvRows
from pipelines.data.datasets.dataset import Dataset
from pipelines.data.datasets.jsonl_blocks import JsonRows
from pipelines.data.datasets.npz_blocks import NpzBlocks
from pipelines.data.datasets.tables import TableFiles
from pipelines.data.datasets.text_blocks import TextBlocks
from tests.pipelines.data.blocks.test_block_index import Kept

WORDS = st.text(st.sampled_from('ab1,;\t"\n\r é'), max_size=6)
ROWS = st.lists(st.tuples(st.integers(-9, 99), st.floats(-9, 9, width=32), WORDS), min_size=1, max_size=25)


def by_blocks(reader: BlockReader, path: Path, sparse: bool = True, store: IndexStore | None = None) -> BlockSamples:
    """All rows of a file."""
    files = TableFiles.of(reader, str(path), str(path), 0.2, None, None, "first", from_training=sparse)
    found = load_blocks("d", reader, files, store)
    assert isinstance(found, Dataset) and isinstance(found.train, BlockSamples)
    return found.train


def text_reader(format: str, size: int, **columns: Any) -> TextBlocks:  # noqa: A002
    made = Columns.of(columns.get("inputs", ("a", "b")), columns.get("label", "kind"), columns.get("id"))
    if format == "csv":
        return TextBlocks(made, CsvRows(), csv_files.SUFFIXES, size)
    return TextBlocks(made, JsonRows(), jsonl_files.SUFFIXES, size)


def same(samples: BlockSamples, whole: Any) -> None:
    found = samples.take_with_ids(torch.arange(len(samples)))
    expected = (*whole.take(torch.arange(len(whole))), whole.ids)
    assert all(torch.equal(one, other) and one.dtype == other.dtype for one, other in zip(found, expected, strict=True))
    assert torch.equal(samples.ids, whole.ids) and torch.equal(samples.targets, whole.targets)


@settings(max_examples=40)
@given(ROWS, st.integers(8, 60), st.sampled_from(["\n", "\r\n"]), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_a_row_of_a_csv_file_may_have_lines_within_quotation_marks(
    tmp_path_factory: pytest.TempPathFactory, found: list[tuple[int, float, str]], size: int, end: str, quoting: Any
) -> None:
    path = tmp_path_factory.mktemp("t") / "a.csv"
    # Python's writer does not quote the other end of a line.
    found = [(a, b, word.replace("\r", "")) for a, b, word in found] if quoting == csv.QUOTE_MINIMAL else found
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator=end, quoting=quoting)
    lines.writerow(["a", "note", "b", "kind"])
    lines.writerows((a, f"-{word}", b, f"'{word.strip()}'") for a, b, word in found)
    path.write_text(text.getvalue(), newline="", encoding="utf-8")
    whole = csv_files.load(str(path), test=str(path), inputs=["a", "b"], label="kind")
    assert isinstance(whole, Dataset)
    same(by_blocks(text_reader("csv", size), path), whole.train)


@settings(max_examples=40)
@given(ROWS, st.integers(10, 90), st.booleans())
def test_lines_of_json(
    tmp_path_factory: pytest.TempPathFactory, found: list[tuple[int, float, str]], size: int, ended: bool
) -> None:
    path = tmp_path_factory.mktemp("t") / "a.jsonl"
    rows = [{"a": a, "note": word, "b": b, "kind": f"'{word}", "who": n} for n, (a, b, word) in enumerate(found)]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n" * ended)
    whole = jsonl_files.load(str(path), test=str(path), inputs=["a", "b"], label="kind", id="who")
    assert isinstance(whole, Dataset)
    same(by_blocks(text_reader("jsonl", size, id="who"), path), whole.train)


@pytest.mark.parametrize("label", ["y", "names"])
def test_rows_of_an_archive(label: str, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(23, 2, 3)).astype(">f4"), draw.integers(0, 4, 23)
    path = tmp_path / "a.npz"
    arrays = {"other": draw.normal(size=9), "x": x, "y": y, "names": y.astype(str), "id": np.arange(23) * 7}
    np.savez(path, **arrays)
    whole = npz.load(str(path), test=str(path), label=label, id="id")
    assert isinstance(whole, Dataset)
    samples = by_blocks(NpzBlocks("x", label, "id", block_bytes=100), path, sparse=False)
    assert samples.block_sizes.tolist() == [4, 4, 4, 4, 4, 3]
    same(samples, whole.train)
    np.savez_compressed(tmp_path / "packed.npz", **arrays)
    with pytest.raises(DataError, match=r"packed\.npz: 'x' is compressed.*numpy\.savez instead"):
        by_blocks(NpzBlocks("x", label, "id"), tmp_path / "packed.npz")
    np.savez(tmp_path / "columns.npz", **arrays | {"x": np.asfortranarray(x[:, :, 0])})
    with pytest.raises(DataError, match="'x' lies column by column"):
        by_blocks(NpzBlocks("x", label, "id"), tmp_path / "columns.npz")
    np.savez(tmp_path / "short.npz", **arrays | {"y": y[1:], "names": y.astype(str)[1:]})
    with pytest.raises(DataError, match=r"differ in length: x 23, (y|names) 22"):
        by_blocks(NpzBlocks("x", label, "id"), tmp_path / "short.npz")
    np.savez(tmp_path / "parts.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    with pytest.raises(DataError, match=r"write the arrays x_test and .*dataset\.test"):
        by_blocks(NpzBlocks("x", label, None), tmp_path / "parts.npz")


@pytest.mark.parametrize(
    ("values", "names"),
    [(("1", "2", "x"), ["1", "2", "x"]), (("1", "2", "3.0"), None), (("true", "false", "true"), None)],
)
def test_labels_are_what_the_whole_file_says(values: tuple[str, ...], names: list[str] | None, tmp_path: Path) -> None:
    """Parsed alone, some blocks would have numbers and others words."""
    path = tmp_path / "a.csv"
    path.write_text("a,b,kind\n" + "".join(f"{n},{n}.5,{values[n // 4]}\n" for n in range(12)))
    whole = csv_files.load(str(path), test=str(path), label="kind")
    assert isinstance(whole, Dataset)
    samples = by_blocks(text_reader("csv", 10), path)
    assert len(samples.block_sizes) > 5
    same(samples, whole.train)


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_the_index_says_where_blocks_are(format: str, tmp_path: Path) -> None:  # noqa: A002
    path, kept = tmp_path / f"a.{format}", Kept()
    lines = ["a,b,kind"] if format == "csv" else []
    lines += [f"{n},{n},{n % 3}" if format == "csv" else json.dumps({"a": n, "b": n, "kind": n % 3}) for n in range(30)]
    path.write_text("\n".join(lines))
    first = by_blocks(text_reader(format, 50), path, store=kept)
    made = first.fingerprint(None)
    again = pickle.loads(pickle.dumps(by_blocks(text_reader(format, 50), path, store=kept)))
    assert again.fingerprint(None) != made  # without its index it cannot know
    again = by_blocks(text_reader(format, 50), path, store=kept)
    assert again.fingerprint(None) == made
    assert torch.equal(again.take(torch.arange(30))[0], first.take(torch.arange(30))[0])
    path.write_text("\n".join(lines).replace("29", "28", 1))
    with pytest.raises(DataError, match=r"the file has changed since this run looked at it"):
        pickle.loads(pickle.dumps(first)).take(torch.arange(30))
    path.write_text("\n".join(lines[:-1]))
    with pytest.raises(DataError, match=r"it has .* bytes, and had"):
        first.take(torch.arange(30))


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_a_text_that_is_not_utf8_is_named(tmp_path: Path, format: str) -> None:  # noqa: A002
    """In the first block, in a later one, and in the names of the columns."""
    rows = [{"a": number, "note": "é", "b": 0.5, "kind": "k"} for number in range(40)]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    if format == "csv":
        lines = ["a,note,b,kind", *(",".join(map(str, row.values())) for row in rows)]
    good, path = "\n".join(lines).encode(), tmp_path / "t"
    for place in (good.find(b"\xc3"), good.rfind(b"\xc3")):
        path.write_bytes(good[:place] + b"\xff" + good[place + 2 :])
        with pytest.raises(DataError, match=rf"/t: is not UTF-8 at byte {place:,} \(0xff\): save the file as UTF-8"):
            by_blocks(text_reader(format, 200), path)
    if format == "csv":
        path.write_bytes(good.replace(b"note", b"n\xffte"))
        with pytest.raises(DataError, match=r"/t: line 1 is not UTF-8 \(byte 0xff\)"):
            by_blocks(text_reader(format, 200), path)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    open_ = tmp_path / "open.csv"
    open_.write_text('a,b,kind\n1,2,0\n3,"4,1\n' + "5,6,1\n" * 40)
    with pytest.raises(DataError, match="the row at byte 15 does not end within 160 bytes: is a quotation mark"):
        by_blocks(text_reader("csv", 10), open_)
    ragged = tmp_path / "ragged.csv"
    ragged.write_text("a,b,kind\n1,2,0\n3,4\n")
    with pytest.raises(DataError, match=r"ragged\.csv, rows from byte 15 on: line 1 has 2 columns"):
        by_blocks(text_reader("csv", 8), ragged)
    words = tmp_path / "words.csv"
    words.write_text("a,b,kind\n1,2,0\nfar,4,1\n")
    with pytest.raises(DataError, match=r"column 'a' is not numbers: it has 'far' in row 0"):
        by_blocks(text_reader("csv", 8), words).take(torch.arange(2))
    mixed = tmp_path / "mixed.jsonl"
    mixed.write_text('{"a": 1, "b": 2, "kind": 0}\n{"a": "x", "b": 2, "kind": 0}\n')
    with pytest.raises(DataError, match="rows from byte 28 on: a column has values of one kind"):
        by_blocks(text_reader("jsonl", 20), mixed)
    (tmp_path / "a.csv.gz").write_bytes(b"")
    with pytest.raises(DataError, match="packed file cannot be read by blocks: unpack it"):
        by_blocks(text_reader("csv", 20), tmp_path / "a.csv.gz")
    # Such a column may be a feature, though.
    assert len(csv_files.blocks(None, str(words), **options(features="auto", test=str(words))).train) == 2
    mixed.write_text('{"a": "x", "b": 2, "kind": 0}\n{"a": "y", "b": 2, "kind": 0}\n')
    divided = jsonl_files.blocks(None, str(mixed), **options(by="a", inputs="b", test=str(mixed)))
    assert [divided.group(n) for n in range(2)] == ["x", "y"]


def options(**more: Any) -> Any:
    given = {"test": None, "test_fraction": 0.2, "inputs": None, "label": "kind", "id": None, "classes": None}
    return {**given, "shape": None, "channels": "first", **more}

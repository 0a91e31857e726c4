"""CSV files (what they have in common with JSON Lines is in test_text_tables.py)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pipelines.build import make_stream
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.csv_files import load
from pipelines.data.datasets.dataset import Dataset


def _single(path: Path, text: str, **options: object) -> Dataset:
    path.write_bytes(text.encode())
    found = load(str(path), **options)  # type: ignore[arg-type]
    assert isinstance(found, Dataset)
    return found


ROWS = "".join(f"{i},{i / 2},{'yes' if i % 2 else 'no'}\n" for i in range(8))


@pytest.mark.parametrize(
    ("name", "text", "options"),
    [
        ("d.csv", "a,b,label\n" + ROWS, {}),
        ("d.csv", "\ufeffa,b,label\r\n" + ROWS.replace("\n", "\r\n"), {}),
        ("d.csv", '"a","b","label"\n' + ROWS.replace("no", '"no"'), {}),
        ("d.csv", "a;b;label\n" + ROWS.replace(",", ";"), {"delimiter": ";"}),
        ("d.tsv", "a\tb\tlabel\n" + ROWS.replace(",", "\t"), {}),
    ],
)
def test_ways_of_writing_the_same_table(name: str, text: str, options: dict[str, object], tmp_path: Path) -> None:
    found = _single(tmp_path / name, text, **options)
    assert (found.classes, found.class_names, found.input_shape) == (2, ("no", "yes"), (2,))
    inputs, targets = found.train.take(torch.arange(len(found.train)))
    assert inputs.tolist() == [[i, i / 2] for i in found.train.ids.tolist()]
    assert targets.tolist() == [i % 2 for i in found.train.ids.tolist()]


def test_the_column_without_a_name_that_pandas_writes_is_no_input(tmp_path: Path) -> None:
    text = ",a,label\n" + "".join(f"{i},{i * 2},{i % 2}\n" for i in range(8))
    assert _single(tmp_path / "d.csv", text).input_shape == (1,)


def test_types_are_found_from_all_rows(tmp_path: Path) -> None:
    text = "a,label\n" + "1,x\n" * 200_000 + "0.5,y\n" * 2
    found = _single(tmp_path / "d.csv", text)
    assert found.train.take(torch.tensor([len(found.train) - 1]))[0].tolist() == [[0.5]]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a;b;label\n1;2;0\n", {}, r"not separated by a comma, but by a semicolon: .* Set dataset.delimiter: \";\""),
        ("a\tlabel\n1\t0\n", {}, r"but by a tab: .* Set dataset.delimiter: \"\\t\""),
        ("a,label\n1,0\n", {"delimiter": "|"}, r"not separated by a bar, but by a comma"),
        ("a,label\n1,0\n2,0,7\n", {}, "d.csv: line 3 has 3 columns, where the first has 2: '2,0,7'"),
        ("a,a,label\n1,2,0\n", {}, "more than one column is called 'a'"),
        ("1,2.5,0\n1,3,1\n", {}, "the first line must have the names of the columns, but is '1,2.5,0'"),
        ("a,label\n1,0\nmany,1\n", {}, "column 'a' is not numbers: it has 'many' in row 1. .* dataset.inputs"),
        ("a,label\n", {}, "the file has no rows"),
        ("a,label\n1,\n2,0\n", {}, "column 'label' has no value in row 0"),
        ("a,label\n,1\n2,0\n", {}, "column 'a' has no value in row 0"),
    ],
)
def test_faults_are_named_with_their_place(text: str, options: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message) as caught:
        _single(tmp_path / "d.csv", text, **options)
    assert str(caught.value).count("\n") < 3


@pytest.mark.parametrize("lanes", [None, 2])
def test_a_label_that_only_later_files_have_is_reported_where_all_should_have_all(
    lanes: int | None, tmp_path: Path
) -> None:
    (tmp_path / "weeks").mkdir()
    for week, last in enumerate(["no", "no", "noo", "nooo"]):
        (tmp_path / f"weeks/{week}.csv").write_text(f"a,b,label\n{ROWS}" + f"1,2,{last}\n" * 20)

    def warnings(setting: str, **options: object) -> tuple[str, ...]:
        dataset = {"name": "csv", "path": str(tmp_path / "weeks"), **options}
        stream = {"dataset": dataset, "setting": setting} | ({} if lanes is None else {"lanes": lanes})
        pipeline = load_text(json.dumps({"name": "t", "model": "mlp", "stream": stream}))
        return tuple(text for text in make_stream(pipeline).warnings if "lacks" in text)

    (text,) = warnings("domain-incremental")
    first = str(tmp_path / "weeks/0.csv") if lanes else "0.csv"
    assert text.startswith(
        f"2 labels that {first} lacks are classes: 'noo' (from {tmp_path / 'weeks/2.csv'} on), 'nooo' ("
    )
    assert text.endswith("else list the labels that there will be, in dataset.classes")
    assert warnings("domain-incremental", classes=["no", "noo", "nooo", "yes"]) == ()
    assert warnings("class-incremental") == ()

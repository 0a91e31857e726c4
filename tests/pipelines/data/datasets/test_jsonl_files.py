"""JSON Lines (what they have in common with CSV is in test_text_tables.py)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.dataset import Dataset
from pipelines.data.datasets.jsonl_files import load


def test_lists_are_inputs_and_rows_may_be_long(tmp_path: Path) -> None:
    rows = [{"pixels": [[i, 1]] * 100_000, "label": i % 2} for i in range(4)]
    (tmp_path / "d.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = load(str(tmp_path / "d.jsonl"))
    assert isinstance(found, Dataset)
    assert found.input_shape == (100_000, 2)
    assert found.train.take(torch.tensor([0]))[0].dtype == torch.float32


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "label": 0}\n{"a": "b", "label": 0}', "column 'a' is number before row 1, and string in it"),
        ('{"a": 1, "label": 0}\n{"a": 1, "label": "x"}', "column 'label' is number before row 1, and string in it"),
        ('{"a": 1, "label": 0}\n{"a": 1, "lab', "d.jsonl: row 1 is no JSON object: Missing"),
        ('{"a": 1, "label": 0}\n[1, 0]', "d.jsonl: row 1 is no JSON object, but of the kind array"),
        ("a,label\n1,0\n", "d.jsonl: row 0 is no JSON object"),
        ('{"a": 1, "label": 0}\n{"label": 0}', "column 'a' has no value in row 1"),
        ('{"a": {"b": 1}, "label": 0}', "column 'a' is not numbers but struct"),
        ('{"a": "1", "label": 0}', "column 'a' is not numbers: it has '1' in row 0"),
    ],
)
def test_faults_are_named_with_their_place(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        load(str(tmp_path / "d.jsonl"))
    assert str(caught.value).count("\n") < 3

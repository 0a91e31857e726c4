"""Files of experiences that were learned and have changed: runs in this process over a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from orchestrator.lineage.changed_past import changed_past
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import make_plan
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training.in_process import train_in_process
from orchestrator.updates.admitted_stream import stream_of
from pipelines.config.load import load_text
from pipelines.data.streams import build_stream

TEXT = """
name: files
stream: {{dataset: {{name: npz, path: {folder}/data}}, setting: domain-incremental}}
model: {{name: mlp, hidden: [4]}}
train: {{steps: 1, batch_size: 4}}
storage: {folder}/store
tracking: {{uri: "http://127.0.0.1:9"}}
"""


def _write(folder: Path, name: str, value: float, classes: int = 2) -> None:
    np.savez(folder / "data" / f"{name}.npz", x=np.full((8, 2), value, dtype=np.float32), y=np.arange(8) % classes)


def _warnings(folder: Path, *settings: str, train: bool = False) -> list[str]:
    pipeline = load_text(TEXT.format(folder=folder), "files.yaml", settings)
    stream = build_stream(pipeline.stream, pipeline.seed)
    lineage, plan = Lineage(open_store(pipeline.storage), pipeline.name), make_plan(pipeline, stream)
    said = changed_past(lineage, plan, stream)
    if train:
        train_in_process(pipeline, stream, plan, lineage, lambda event: None)
        lineage.point("latest", plan[-1].id)
    return said


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which batch2 and batch3 were learned."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "data").mkdir()
    for number in (2, 3):
        _write(folder, f"batch{number}", number)
    assert _warnings(folder, train=True) == []
    return folder


@pytest.fixture
def files(learned: Path) -> Path:
    """The same files as at the last run."""
    for file in (learned / "data").iterdir():
        file.unlink()
    for number in (2, 3):
        _write(learned, f"batch{number}", number)
    return learned


def test_a_file_behind_the_others_and_other_settings_are_no_change_of_the_past(files: Path) -> None:
    assert _warnings(files) == []
    _write(files, "batch10", 10)
    assert _warnings(files) == []
    assert _warnings(files, "train.steps=2") == []


def test_a_file_before_the_others_is_warned_about(files: Path) -> None:
    _write(files, "batch1", 1)
    (text,) = _warnings(files)
    assert "experience 0 and all later ones are trained again" in text
    assert "batch1.npz is not what was learned as experience 0. " in text
    assert "natural order" in text and "\n" not in text


def test_a_file_of_the_past_with_other_content_is_warned_about(files: Path) -> None:
    _write(files, "batch3", 5)
    (text,) = _warnings(files)
    assert "experience 1 and all later ones" in text and "batch3.npz is not what was learned as experience 1." in text


def test_a_new_class_that_changes_the_head_is_warned_about_with_the_remedy(files: Path) -> None:
    _write(files, "batch4", 4, classes=3)
    (text,) = _warnings(files)
    assert "has 3 units, where it had 2" in text and "dataset.classes" in text
    assert "has 3 units" in _warnings(files, "stream.dataset.classes=3")[0]


GROWING = """
name: rows
stream: {{dataset: {{name: csv, path: {folder}/rows.csv, inputs: x, by: {{time: month}}, time: at, classes: 3}},
         setting: domain-incremental, lanes: 2}}
model: {{name: mlp, hidden: [4]}}
train: {{steps: 1, batch_size: 4}}
storage: {folder}/store
tracking: {{uri: "http://127.0.0.1:9"}}
"""


def _months(*months: str) -> str:
    return "".join(f"{month}-0{day},{day % 3},{day}\n" for month in months for day in range(1, 8))


@pytest.mark.parametrize(
    ("month", "wanted"), [("2024-03", "rows of 2024-03 in "), ("2024-02", "comes before what was learned")]
)
def test_a_file_that_is_divided_by_time_may_grow_at_its_end(month: str, wanted: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    pipeline = load_text(GROWING.format(folder=tmp_path), "rows.yaml")
    lineage = Lineage(open_store(pipeline.storage), pipeline.name)

    def said(text: str, train: bool = False) -> list[str]:
        file.write_text("at,label,x\n" + text)
        stream = stream_of(pipeline)
        plan = make_plan(pipeline, stream)
        found = changed_past(lineage, plan, stream)
        if train:
            train_in_process(pipeline, stream, plan, lineage, lambda event: None)
            lineage.point("latest", plan[-1].id)
        return found

    first = ("2024-01", "2024-03")
    assert said(_months(*first), train=True) == []
    assert said(_months(*first, "2024-04")) == []
    (text,) = said(_months(*first, "2024-04", month))
    assert "experience 1 and all later ones are trained again: " in text and wanted in text and "Append only" in text
    assert ("blocks.json" in text) == (month == "2024-03")

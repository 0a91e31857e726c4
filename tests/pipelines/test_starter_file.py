from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.held_out_part import hash_of_ids
from pipelines.starter_file import starter_file

ROWS = 60


def npz(file: Path, classes: int, shape: tuple[int, ...] = (4,), step: int = 1, first: int = 0) -> str:
    inputs = np.random.RandomState(0).rand(ROWS, *shape).astype(np.float32)
    np.savez(file, x=inputs, y=first + np.arange(ROWS) % classes * step)
    return str(file)


@pytest.mark.parametrize(("classes", "experiences"), [(2, 2), (3, 2), (6, 3), (10, 5), (20, 5)])
def test_one_file_is_split_by_class(tmp_path: Path, classes: int, experiences: int) -> None:
    made = starter_file(npz(tmp_path / "My Data.npz", classes))
    pipeline = load_text(made.text)
    assert made.name == pipeline.name == "my-data"
    assert (pipeline.stream.setting, pipeline.stream.experiences) == ("class-incremental", experiences)
    assert pipeline.strategy[0].name == "replay"
    for note in made.notes:
        assert note[:40] in made.text


@pytest.mark.parametrize(
    ("shape", "model"),
    [
        ((4,), {"name": "mlp", "hidden": [128, 128]}),
        ((300,), {"name": "mlp", "hidden": [400, 400]}),
        ((12, 12), {"name": "cnn"}),
        ((3, 12, 12), {"name": "cnn"}),
        ((12, 12, 3), {"name": "mlp", "hidden": [400, 400]}),
    ],
)
def test_the_model_follows_the_shape_of_the_inputs(tmp_path: Path, shape: tuple[int, ...], model: Any) -> None:
    made = starter_file(npz(tmp_path / "a.npz", 4, shape))
    assert load_text(made.text).model.to_document() == model
    assert ("(channels, height, width)" in made.text) == (shape == (12, 12, 3))


@pytest.mark.parametrize(("firsts", "setting"), [((0, 0, 0), "domain-incremental"), ((0, 2, 4), "class-incremental")])
def test_a_folder_has_an_experience_for_each_file(tmp_path: Path, firsts: tuple[int, ...], setting: str) -> None:
    for index, first in enumerate(firsts):
        npz(tmp_path / f"{index}.npz", 2, first=first)
    stream = load_text(starter_file(str(tmp_path)).text).stream
    assert (stream.setting, stream.experiences) == (setting, None)


def test_labels_with_gaps_are_listed_as_the_classes(tmp_path: Path) -> None:
    pipeline = load_text(starter_file(npz(tmp_path / "a.npz", 3, step=7, first=1)).text)
    assert pipeline.stream.dataset.options["classes"] == [1, 8, 15]


def test_labels_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="all samples have the same label"):
        starter_file(npz(tmp_path / "a.npz", 1))
    rows = 1200
    parquet.write_table(pa.table({"a": [0.5] * 2 * rows, "label": [*range(rows)] * 2}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"1,200 different labels; is 'label' the right one \(--label\)"):
        starter_file(str(tmp_path / "b.parquet"))


def test_names_that_yaml_would_read_otherwise_come_through(tmp_path: Path) -> None:
    columns = {"on": [0.5] * ROWS, "2": [0.5] * ROWS, "a: b": [0.5] * ROWS, "text": ["t"] * ROWS}
    file = tmp_path / "it's #1, {new}.parquet"
    parquet.write_table(pa.table({**columns, "no": ["x", "y"] * (ROWS // 2)}), file)
    options = load_text(starter_file(str(file), "no").text).stream.dataset.options
    assert options == {"path": str(file), "label": "no", "inputs": ["on", "2", "a: b"]}


def test_the_values_in_the_comments_at_its_end_are_valid(tmp_path: Path) -> None:
    text = starter_file(npz(tmp_path / "a.npz", 4)).text
    pipeline = load_text(text.replace("# storage:", "storage:").replace("# tracking:", "tracking:"))
    assert pipeline.storage == "s3://bucket/prefix" and pipeline.tracking.uri.startswith("http://")


def test_a_table_with_ids_gets_a_test_part_that_stays(tmp_path: Path) -> None:
    labels = np.arange(200) % 2
    columns = {"id": np.arange(200) * 7, "a": np.linspace(0, 1, 200), "label": labels}
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    made = load_text(starter_file(str(tmp_path / "a.parquet")).text)
    assert made.stream.dataset.options["test"] == {"id_hash": 0.2}
    # A class of which the hash puts nothing into the test part.
    kept = np.flatnonzero(hash_of_ids(columns["id"]) >= 0.2)[:2]
    columns["label"] = np.where(np.isin(np.arange(200), kept), 0, 1)
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert "test" not in load_text(starter_file(str(tmp_path / "a.parquet")).text).stream.dataset.options

"""Drawings of shapes: the same everywhere, written once, learned by the example, and recognised in files."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from orchestrator.checkpointing.load_model import load_model
from orchestrator.lineage.lineage import Lineage
from orchestrator.prediction.predict_file import predict_file
from orchestrator.storage.open_by_uri import open_store
from pipelines.config.example_files import find_example, write_example
from pipelines.config.load import load_pipeline
from pipelines.data.datasets.dataset import ExperienceDataset
from pipelines.examples.shapes_data import SHAPES, WORLDS, drawing, load
from tests.orchestrator.train_stream import train
from tests.pipelines.data.images.conftest import cache  # noqa: F401 (a fixture)


def test_drawings_are_the_same_in_every_run_and_differ_by_world() -> None:
    for world in WORLDS:
        first, same = (drawing("cross", world, np.random.default_rng(3)) for _ in range(2))
        assert np.array_equal(first, same) and first.dtype == np.uint8
    noon, night = (drawing("circle", world, np.random.default_rng(0)) for world in ("noon", "night"))
    assert noon[:3].mean() > 150 > 80 > night[:3].mean()


def test_files_are_written_once(tmp_path: Path) -> None:
    found = load(str(tmp_path), worlds=2, images=2)
    assert isinstance(found, ExperienceDataset)
    assert len(found) == 2 and found.class_names == SHAPES and found.input_shape == (3, 24, 24)
    files = sorted(tmp_path.rglob("*.png"))
    assert len(files) == 16 and not list(tmp_path.rglob("*.partial"))
    times = [file.stat().st_mtime_ns for file in files]
    load(str(tmp_path), worlds=2, images=2)
    assert [file.stat().st_mtime_ns for file in sorted(tmp_path.rglob("*.png"))] == times


def test_the_example_learns_and_its_model_takes_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    file, *_ = write_example(find_example("image-folder"), tmp_path)
    shorter = ["stream.dataset.worlds=2", "stream.dataset.images=24", f"storage={tmp_path / 'store'}"]
    pipeline = load_pipeline(file, shorter)
    ids = train(pipeline)
    lineage = Lineage(open_store(pipeline.storage), pipeline.name)
    lineage.point("latest", ids[-1])
    row = lineage.read(ids[-1]).row
    assert min(count.correct / count.total for count in row[:2]) > 0.55  # of four classes
    folder = next((tmp_path / "shapes-data").iterdir()) / "2-night"
    model = load_model(pipeline)
    written = predict_file(model, str(folder), tmp_path / "out.csv")
    with (tmp_path / "out.csv").open() as out:
        rows = list(csv.DictReader(out))
    assert written.rows == len(rows) == 96 and rows[0]["file"] == "circle/000.png"
    right = sum(one["file"].startswith(one["prediction"]) for one in rows)
    assert right > 60
    table = tmp_path / "paths.csv"
    table.write_text("path,more\n" + "".join(f"{folder / one['file']},1\n" for one in rows[:5]))
    assert predict_file(model, str(table), tmp_path / "some.csv").rows == 5
    single = predict_file(model, str(folder / rows[0]["file"]), tmp_path / "one.jsonl")
    assert single.predicted == {rows[0]["prediction"]: 1}
    found = model.predict([{"path": str(folder / one["file"])} for one in rows[:5]])
    assert found.labels.tolist() == [one["prediction"] for one in rows[:5]]

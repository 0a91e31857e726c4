"""What a folder or a file of blocks is as a stream, and what is refused.

Covers: `pipelines/config/lane_problems.py`
"""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch

from orchestrator.lineage.plan import make_plan
from pipelines.config.components import DATASETS, declared, resolve
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import DataError, PipelineError
from pipelines.data.blocks.block_dataset import experience_files
from pipelines.data.datasets.location import Location
from pipelines.data.streams import Stream, build_stream
from tests.pipelines.data.blocks.block_files import rows, stream_of_files, write

GROUPS = (20, 11, 30)


def stream(path: Path, dataset: str = "", more: str = "setting: domain-incremental, lanes: 4") -> Stream:
    text = f"name: s\nstream: {{dataset: {{name: parquet, path: {path}{dataset}}}, {more}}}\nmodel: mlp\n"
    pipeline = load_text(text)
    return build_stream(pipeline.stream, pipeline.seed)


def test_a_file_is_split_by_class(tmp_path: Path) -> None:
    path = write(tmp_path / "all.parquet", *rows(61, 0, classes=4), GROUPS)
    found = stream(path, more="experiences: 2, lanes: 4")
    assert [experience.classes for experience in found] == [(0, 1), (2, 3)]
    ids = [set(experience.train.ids.tolist()) | set(experience.test.ids.tolist()) for experience in found]
    assert ids[0] | ids[1] == set(range(61)) and not ids[0] & ids[1]
    for experience in found:
        assert set(experience.train.targets.tolist()) == set(experience.classes)
    rotated = stream(path, ", inputs: x, shape: [1, 2, 3]", "experiences: 2, transform: permute, lanes: 2")
    assert not torch.equal(*(experience.train.take(torch.arange(30))[0] for experience in rotated))


def test_files_added_later_change_no_experience_before(tmp_path: Path) -> None:
    stream_of_files(tmp_path, 2)
    first = stream(tmp_path, ", classes: 3")
    before = [first.fingerprint(n) for n in range(2)]
    stream_of_files(tmp_path, 4)
    after = stream(tmp_path, ", classes: 3")
    assert [after.fingerprint(n) for n in range(2)] == before
    assert len({after.fingerprint(n) for n in range(4)} | {after.test_fingerprint(n) for n in range(4)}) == 8


def test_test_files_have_the_names_of_the_training_files(tmp_path: Path) -> None:
    stream_of_files(tmp_path / "train", 2)
    stream_of_files(tmp_path / "test", 2, (6, 7))
    found = stream(tmp_path / "train", f", test: {tmp_path / 'test'}")
    assert [(len(one.train), len(one.test)) for one in found] == [(50, 13)] * 2
    (tmp_path / "test" / "1.parquet").unlink()
    with pytest.raises(DataError, match=r"has no test file for 1\.parquet"):
        stream(tmp_path / "train", f", test: {tmp_path / 'test'}")
    with pytest.raises(DataError, match="is a file, but"):
        stream(tmp_path / "train", f", test: {tmp_path / 'test' / '0.parquet'}")
    one = tmp_path / "train" / "0.parquet"
    with pytest.raises(DataError, match="is a folder, but"):
        stream(one, f", test: {tmp_path / 'test'}", "experiences: 3, lanes: 2")
    alone = stream(one, f", test: {tmp_path / 'test' / '0.parquet'}", "experiences: 3, lanes: 2")
    assert sum(len(one.test) for one in alone) == 13


def test_a_sorted_file_is_said(tmp_path: Path) -> None:
    inputs, labels = rows(60, 0)
    order = np.argsort(labels, kind="stable")
    write(tmp_path / "0.parquet", inputs[order], labels[order], [5] * 12)
    write(tmp_path / "1.parquet", inputs, labels, [20] * 3)
    (warning,) = (text for text in stream(tmp_path).warnings if "sorted" in text)
    assert "0.parquet: " in warning and "make that 9 at least, so that they are 3 of each class" in warning


def test_lanes_and_window_are_part_of_the_ids_and_workers_are_not(tmp_path: Path) -> None:
    stream_of_files(tmp_path, 2)

    def ids(stream: str = "lanes: 4", more: str = "") -> list[str]:
        text = (
            f"name: s\nstream: {{dataset: {{name: parquet, path: {tmp_path}}}, setting: domain-incremental, "
            f"{stream}}}\nmodel: mlp\n{more}"
        )
        pipeline = load_text(text)
        return [planned.id for planned in make_plan(pipeline, build_stream(pipeline.stream, pipeline.seed))]

    assert ids() == ids(more="scaling: {workers: 3}\n") == ids("lanes: 4, window: 4")
    assert len({ids()[0], ids("lanes: 5")[0], ids("lanes: 4, window: 2")[0]}) == 3


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("window: 2", "window: is for streams in lanes"),
        ("lanes: 2, blurry: 0.1, experiences: 2", "samples in lanes are read in blocks"),
        ("lanes: 0", "lanes"),
    ],
)
def test_streams_that_cannot_be_are_refused(more: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=message):
        stream(tmp_path, more=more)


def test_more_workers_than_lanes_are_refused() -> None:
    text = "name: s\nstream: {dataset: digits, experiences: 2, lanes: 2}\nmodel: mlp\nscaling: {workers: 3}\n"
    with pytest.raises(PipelineError, match="must be at least the number of workers, which is 3, got 2"):
        load_text(text)


def test_a_search_cannot_hold_out_samples_in_lanes(tmp_path: Path) -> None:
    from pipelines.data.validation_split import hold_out

    split = hold_out(stream(stream_of_files(tmp_path, 1)), 0.2, 0)
    with pytest.raises(DataError, match="holds out single samples"):
        _ = split[0].train


def test_files_of_experiences(tmp_path: Path) -> None:
    stream_of_files(tmp_path, 1)
    location = Location.of(str(tmp_path))
    assert experience_files(location / "0.parquet", ".parquet") == location / "0.parquet"
    assert experience_files(location, ".parquet") == {location / "0.parquet": [location / "0.parquet"]}


@pytest.mark.parametrize("name", [name for name in DATASETS if declared("datasets", name, "BLOCKS") is not None])
def test_what_reads_by_blocks_takes_the_options_of_the_dataset(name: str) -> None:
    load, by_blocks = resolve("datasets", name), declared("datasets", name, "BLOCKS")
    given = dict.fromkeys(inspect.signature(load).parameters)
    inspect.signature(by_blocks).bind(None, **given)  # type: ignore[arg-type]

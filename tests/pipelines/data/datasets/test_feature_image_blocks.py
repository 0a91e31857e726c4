"""Features that are images, in lanes: an image that changes makes another experience of those whose rows name it.

Covers: `pipelines/data/datasets/named_images.py`
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image as Pillow
from pyarrow import csv, parquet

from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.feature_image_blocks import FeatureImageBlocks
from pipelines.data.streams import Stream, build_stream
from tests.pipelines.data.blocks.test_table_content import Kept
from tests.pipelines.data.images.conftest import cache  # noqa: F401 (a fixture)

EXPERIENCES, ROWS = 3, 6


def rows_of(folder: Path, number: int) -> dict[str, list[Any]]:
    """A table with two columns of images, of which some are missing."""
    draw = np.random.default_rng(number)
    pictures = folder / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    names = [f"{number}-{row}.png" for row in range(2 * ROWS)]
    for name in names:
        Pillow.fromarray(draw.integers(0, 256, (4, 4, 3), dtype=np.uint8)).save(pictures / name)
    paths: list[Any] = [f"../pictures/{name}" for name in names]
    front, back = paths[:ROWS], [*paths[ROWS:-1], None]
    return {"price": draw.normal(size=ROWS).tolist(), "front": front, "back": back, "label": ["a", "b"] * (ROWS // 2)}


def write_jsonl(table: pa.Table, path: Path) -> None:
    """A missing image is no key of its row."""
    rows = ({name: value for name, value in row.items() if value is not None} for row in table.to_pylist())
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    "csv": lambda table, path: csv.write_csv(table, path),
    "jsonl": write_jsonl,
    "parquet": lambda table, path: parquet.write_table(table, path, row_group_size=2),
}


@pytest.fixture(params=WRITERS)
def tables(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with a table for each experience, beside that of its images."""
    folder = tmp_path / request.param
    folder.mkdir()
    for number in range(EXPERIENCES):
        WRITERS[request.param](pa.table(rows_of(tmp_path, number)), folder / f"{number}.{request.param}")
    return folder


def stream(folder: Path, index: Kept | None = None, more: str = ", lanes: 2") -> Stream:
    """Its files, which are also the test files, are of the format that its name is."""
    text = (
        f"name: t\nmodel: tabular-mlp\nstream: {{dataset: {{name: {folder.name}, path: {folder}, test: {folder}, "
        f"features: {{image: [front, back], size: 4}}}}, setting: domain-incremental{more}}}\n"
    )
    pipeline = load_text(text)
    return build_stream(pipeline.stream, pipeline.seed, "classes", index)


def prints(made: Stream) -> list[tuple[str, str]]:
    return [(made.fingerprint(n), made.test_fingerprint(n)) for n in range(EXPERIENCES)]


def mirror(image: Path) -> None:
    """Another image of the same colours: the preprocessing is the same."""
    Pillow.open(image).transpose(Pillow.Transpose.FLIP_LEFT_RIGHT).save(image)


def test_an_image_that_changes_makes_another_of_just_its_experience(tables: Path) -> None:
    index, pictures = Kept(), tables.parent / "pictures"
    before = prints(stream(tables, index))
    assert before == prints(stream(tables))  # without an index that is kept
    # Of each experience one of either column, in the first and in the last block.
    for name in ("0-0", "0-10", "1-7", "1-5", "2-1", "2-6"):
        image, number = pictures / f"{name}.png", int(name[0])
        data = image.read_bytes()
        mirror(image)
        after = prints(stream(tables, index))
        assert [one == other for one, other in zip(after, before, strict=True)] == [
            n != number for n in range(EXPERIENCES)
        ]
        image.write_bytes(data)
        assert prints(stream(tables, index)) == before
    Pillow.new("RGB", (4, 4)).save(pictures / "0-0.png")  # other colours in experience 0: inputs of all are others
    assert not any(one == other for one, other in zip(prints(stream(tables, index)), before, strict=True))


def test_a_run_notices_an_image_that_changes(tables: Path) -> None:
    made, whole, image = stream(tables), stream(tables, more=""), tables.parent / "pictures" / "1-0.png"
    for one, other in zip(made, whole, strict=True):
        for ours, theirs in ((one.train, other.train), (one.test, other.test)):
            everything = torch.arange(len(ours))
            assert all(map(torch.equal, ours.take(everything), theirs.take(everything)))
    touched, changed, everything = stream(tables), stream(tables), torch.arange(ROWS)
    assert prints(touched) == prints(changed)  # with hashes, a file that was only touched is the same
    known = made[1].train.take(everything)
    os.utime(image, (1, 1))
    assert all(map(torch.equal, touched[1].train.take(everything), known))
    mirror(image)
    with pytest.raises(DataError, match="the file has changed since this run looked at it"):
        changed[1].train.take(everything)
    image.unlink()
    with pytest.raises(DataError, match=r"column 'front', row 0: \.\./pictures/1-0\.png: there is no such file"):
        stream(tables)


def test_images_within_the_table_are_in_its_own_hash(tmp_path: Path) -> None:
    folder, rows = tmp_path / "parquet", rows_of(tmp_path, 0)
    folder.mkdir()
    for name in ("front", "back"):
        rows[name] = [path and (folder / path).read_bytes() for path in rows[name]]
    parquet.write_table(pa.table(rows), folder / "0.parquet", row_group_size=2)
    source: Any = stream(folder)[0].train
    reader, (location, state) = source._source._reader, source._source._files[0]
    assert isinstance(reader, FeatureImageBlocks) and reader.states([location]) == [state]
    assert reader.hashes(location, range(3)) == reader.table.hashes(location, range(3))
    assert reader.survey(location).extents is None
    assert (folder / "0.parquet").stat().st_size == state.bytes


def test_experiences_of_a_table_that_grows_stay_what_they_are(tmp_path: Path) -> None:
    """Rows of a new month: experiences without new rows keep their fingerprints, unless an image of theirs changes."""
    rows, index = rows_of(tmp_path, 0), Kept()
    folder = tmp_path / "csv"
    folder.mkdir()
    file = folder / "0.csv"
    table = pa.table({**rows, "month": [1, 1, 1, 1, 2, 2]})
    csv.write_csv(table, file)

    def made(kept: Kept | None = index) -> list[str]:
        text = (
            f"name: t\nmodel: tabular-mlp\nstream: {{dataset: {{name: csv, path: {file}, by: month, "
            "features: {image: [front, back], size: 4}}, setting: domain-incremental, lanes: 2}\n"
        )
        pipeline = load_text(text)
        found = build_stream(pipeline.stream, pipeline.seed, "classes", kept)
        return [found.fingerprint(n) for n in range(len(found))]

    before = made()
    with file.open("a") as end:
        end.write('0.5,"../pictures/0-0.png","../pictures/0-1.png","a",3\n0.5,"../pictures/0-2.png",,"b",3\n')
    assert made()[:2] == before and made(None)[:2] != before
    mirror(tmp_path / "pictures" / "0-0.png")
    assert made()[0] != before[0]

"""Tables of images in lanes: the samples that memory has, by blocks of the table; images that change are noticed."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from pyarrow import parquet

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.block_samples import BlockSamples
from pipelines.data.datasets import image_folder
from pipelines.data.datasets.dataset import Dataset, ExperienceDataset
from pipelines.data.datasets.image_folder import blocks, load
from pipelines.data.datasets.image_table_blocks import ImageTableBlocks
from pipelines.data.datasets.time_periods import TimePeriods
from tests.pipelines.data.datasets.test_image_blocks import GIVEN, by_id

N = 18


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_folder, "ImageTableBlocks", partial(ImageTableBlocks, block_bytes=200))


def listed(folder: Path, kind: str) -> Path:
    """A table of images, whose columns are path, label, a, b and day."""
    draw = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    for n in range(N):
        Image.fromarray(draw.integers(0, 256, (5, 4), dtype=np.uint8)).save(folder / "images" / f"{n}.png")
        rows.append(
            {"path": f"images/{n}.png", "label": n % 3, "a": n % 2, "b": n % 5 == 0, "day": f"2024-0{n // 7 + 1}-02"}
        )
    file = folder / f"table.{kind.partition(' ')[0]}"
    if kind == "csv":
        file.write_text("path,label,a,b,day\n" + "".join(",".join(map(str, row.values())) + "\n" for row in rows))
    elif kind == "jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        for n, row in enumerate(rows):
            if kind == "parquet of structs":  # as Hugging Face writes images that are not embedded
                row["path"] = {"bytes": None, "path": row["path"]}
            row["path"] = (folder / row["path"]).read_bytes() if kind == "parquet bytes" else row["path"]
            row["who"] = n
        table = pa.Table.from_pylist(rows)
        if kind == "parquet of structs":
            struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
            table = table.set_column(0, "path", table["path"].cast(struct))
        parquet.write_table(table, file, row_group_size=5)
    return file


def samples_of(found: Dataset | ExperienceDataset, place: int = 0) -> list[Any]:
    return [found.train, found.test] if isinstance(found, Dataset) else [found.train(place), found.test(place)]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "parquet bytes", "parquet of structs"])
def test_a_block_has_the_images_that_memory_has(kind: str, tmp_path: Path) -> None:
    file = str(listed(tmp_path, kind))
    options = {**GIVEN, "test": file, "id": "who" if "parquet" in kind else None}
    found, whole = blocks(None, file, **options), load(file, **options)
    assert (found.classes, found.class_names, found.images) == (whole.classes, whole.class_names, whole.images)
    for ours, theirs in zip(samples_of(found), samples_of(whole), strict=True):
        assert isinstance(ours, BlockSamples) and not isinstance(theirs, BlockSamples)
        assert len(ours.block_sizes) > 2 and by_id(ours) == by_id(theirs)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_periods_and_targets_of_several_columns(kind: str, tmp_path: Path) -> None:
    file = str(listed(tmp_path, kind))
    options = {**GIVEN, "test": file, "by": TimePeriods(time="month"), "time": "day", "label": ["a", "b"]}
    made = [read(file, target_kind="labels", **options) for read in (partial(blocks, None), load)]
    found, whole = made
    assert isinstance(found, ExperienceDataset) and isinstance(whole, ExperienceDataset) and len(found) == len(whole)
    for place in range(len(found)):
        for ours, theirs in zip(samples_of(found, place), samples_of(whole, place), strict=True):
            assert isinstance(ours, BlockSamples) and by_id(ours) == by_id(theirs)


@pytest.mark.parametrize("kind", ["csv", "parquet of structs"])
def test_an_image_that_changes_makes_another_experience(kind: str, tmp_path: Path) -> None:
    file, image = listed(tmp_path, kind), tmp_path / "images" / "7.png"
    options = {**GIVEN, "test": str(file), "id": "who" if "parquet" in kind else None}

    class Index:
        data: bytes | None = None

        def load(self) -> bytes | None:
            return self.data

        def save(self, data: bytes) -> None:
            self.data = data

    index = Index()

    def made() -> BlockSamples:
        found = blocks(index, str(file), **options)
        assert isinstance(found, Dataset) and isinstance(found.train, BlockSamples)
        return found.train

    first = made()
    print_, everything = first.fingerprint(None), torch.arange(N)
    before = first.take(everything)
    os.utime(image, (1, 1))
    assert all(map(torch.equal, first.take(everything), before)) and made().fingerprint(None) == print_
    Image.fromarray(np.zeros((5, 4), dtype=np.uint8)).save(image)
    with pytest.raises(DataError, match="the file has changed since this run looked at it"):
        first.take(everything)
    assert made().fingerprint(None) != print_
    image.unlink()
    with pytest.raises(DataError, match=r"row 7: images/7\.png: there is no such file"):
        made()

"""Folders of images in lanes: the images that memory has, by blocks of files."""

from __future__ import annotations

import gzip
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.block_samples import BlockSamples
from pipelines.data.datasets import image_folder
from pipelines.data.datasets.dataset import Dataset, ExperienceDataset
from pipelines.data.datasets.image_blocks import ImageBlocks
from pipelines.data.datasets.image_folder import blocks, load

GIVEN: dict[str, Any] = {
    "test": None, "test_fraction": 0.3, "size": 3, "channels": "grey", "resize": "crop", "by": None, "time": None,
    "image": "path", "label": "label", "id": None, "classes": None,
}  # fmt: skip


def write(folder: Path, seed: int, count: int = 6) -> Path:
    draw = np.random.default_rng(seed)
    for name in ("cat", "dog", "emu"):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(draw.integers(0, 256, (5, 4), dtype=np.uint8)).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_folder, "ImageBlocks", partial(ImageBlocks, block_files=5))


def by_id(samples: Any) -> dict[int, tuple[list[int], int]]:
    inputs, targets = samples.take(torch.arange(len(samples)))
    rows = zip(samples.ids.tolist(), inputs.flatten(1).tolist(), targets.tolist(), strict=True)
    return {id_: (pixels, target) for id_, pixels, target in rows}


@pytest.mark.parametrize("by", [None, "folder"])
def test_images_are_those_that_memory_has(by: Any, tmp_path: Path) -> None:
    names = ("",) if by is None else ("day 2", "day 10")
    for place, name in enumerate(names):
        write(tmp_path / "train" / name, place)
        write(tmp_path / "test" / name, 10 + place, 2)
    options = {**GIVEN, "by": by, "test": str(tmp_path / "test")}
    found, whole = blocks(None, str(tmp_path / "train"), **options), load(str(tmp_path / "train"), **options)
    assert (found.classes, found.class_names, found.images) == (3, ("cat", "dog", "emu"), whole.images)
    if isinstance(found, Dataset) and isinstance(whole, Dataset):
        pairs = [(found.train, whole.train), (found.test, whole.test)]
    else:
        assert isinstance(found, ExperienceDataset) and isinstance(whole, ExperienceDataset)
        pairs = [(found.train(n), whole.train(n)) for n in range(2)] + [
            (found.test(n), whole.test(n)) for n in range(2)
        ]
    for ours, theirs in pairs:
        assert isinstance(ours, BlockSamples) and by_id(ours) == by_id(theirs)
        assert ours.block_sizes.max() <= 5
        # Most blocks have images of several classes: they are not in the order of the folders.
        assert ours.take(torch.arange(5))[1].unique().numel() > 1


def test_an_image_that_changes_is_refused_and_one_that_was_only_touched_is_not(tmp_path: Path) -> None:
    folder = write(tmp_path / "all", 0)
    found = blocks(None, str(folder), **GIVEN)
    assert isinstance(found, Dataset) and isinstance(found.train, BlockSamples)
    everything, one = torch.arange(len(found.train)), folder / "cat" / "0.png"
    before, print_ = found.train.take(everything), found.train.fingerprint(None)
    os.utime(one, (1, 1))
    for again, first in zip(found.train.take(everything), before, strict=True):
        assert torch.equal(again, first)
    again = blocks(None, str(folder), **GIVEN)
    assert isinstance(again, Dataset) and again.train.fingerprint(None) == print_  # type: ignore[attr-defined]
    Image.fromarray(np.zeros((5, 4), dtype=np.uint8)).save(one)
    with pytest.raises(DataError, match="the file has changed since this run looked at it"):
        found.train.take(everything), found.test.take(torch.arange(len(found.test)))
    changed = blocks(None, str(folder), **GIVEN)
    assert isinstance(changed, Dataset)
    prints = {part.fingerprint(None) for part in (changed.train, changed.test)}  # type: ignore[attr-defined]
    assert print_ not in prints


def test_a_packed_table_lies_in_memory_and_folders_are_divided_by_folders(tmp_path: Path) -> None:
    folder = write(tmp_path / "b", 0, 2)
    packed = tmp_path / "a.csv.gz"
    packed.write_bytes(gzip.compress(("path,label\n" + "".join(f"b/cat/{n}.png,{n}\n" for n in (0, 1))).encode()))
    table = blocks(None, str(packed), **{**GIVEN, "test": str(packed)})
    assert isinstance(table, Dataset) and not isinstance(table.train, BlockSamples) and len(table.train) == 2
    with pytest.raises(DataError, match=r"set dataset\.by: folder"):
        blocks(None, str(folder), **{**GIVEN, "by": "site"})

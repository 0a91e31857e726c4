"""The law of readers, for every dataset that is read by blocks: 1, 2, 3, 4 or 8 of them take the same global batches.

Each dataset that declares `BLOCKS` has its case here; one that is added without a case fails.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipelines.config.components import DATASETS, declared
from pipelines.data.blocks.block_samples import BlockSamples
from pipelines.data.datasets import csv_files, documents, image_folder, jsonl_files, npz
from pipelines.data.datasets.dataset import Dataset
from pipelines.data.datasets.held_out_part import TestPart
from strategies.loop.order_of_samples import sample_order
from strategies.loop.process_group import Group
from strategies.loop.train_settings import TrainSettings
from tests.pipelines.data.blocks.block_files import rows, write
from tests.pipelines.data.datasets.test_image_table_blocks import listed
from tests.pipelines.models.pretrained import save_word_tokenizer

N = 31
TABLE: dict[str, Any] = {
    "test": None, "test_fraction": 0.2, "inputs": None, "label": "label", "id": None, "classes": None, "shape": None,
    "channels": "first",
}  # fmt: skip
IMAGES: dict[str, Any] = {
    "test": None, "test_fraction": 0.3, "size": 3, "channels": "grey", "resize": "crop", "by": None, "time": None,
    "image": "path", "label": "label", "id": None, "classes": None,
}  # fmt: skip
WORDS = ["a good day", "the film was dull", "bad", "not very good", "very dull a a a"]


def _csv(folder: Path) -> tuple[Path, dict[str, Any]]:
    inputs, labels = rows(N, 0)
    lines = [",".join(map(str, [*row, label])) for row, label in zip(inputs.tolist(), labels.tolist(), strict=True)]
    (folder / "a.csv").write_text("\n".join([",".join([*map(str, range(inputs.shape[1])), "label"]), *lines]) + "\n")
    return folder / "a.csv", {**TABLE, "delimiter": None}


def _jsonl(folder: Path) -> tuple[Path, dict[str, Any]]:
    inputs, labels = rows(N, 1)
    found = [{"x": row, "label": label} for row, label in zip(inputs.tolist(), labels.tolist(), strict=True)]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    return folder / "a.jsonl", {**TABLE, "inputs": "x"}


def _parquet(folder: Path) -> tuple[Path, dict[str, Any]]:
    return write(folder / "a.parquet", *rows(N, 2), (9, 4, 6, 1, 8, 3)), {**TABLE, "inputs": "x"}


def _by_column(folder: Path) -> tuple[Path, dict[str, Any]]:
    path, options = _csv(folder)
    head, *lines = path.read_text().splitlines()
    sides = [f"{line},{'test' if number % 6 == 2 else 'train'}" for number, line in enumerate(lines)]
    path.write_text("\n".join([f"{head},split", *sides]) + "\n")
    return path, {**options, "test": TestPart(column="split", value="test")}


def _by_ids(folder: Path) -> tuple[Path, dict[str, Any]]:
    path = write(folder / "a.parquet", *rows(N, 2), (9, 4, 6, 1, 8, 3), ids=[f"id {n}" for n in range(N)])
    return path, {**TABLE, "inputs": "x", "id": "who", "test": TestPart(id_hash=0.3)}


def _npz(folder: Path) -> tuple[Path, dict[str, Any]]:
    inputs, labels = rows(N, 3)
    np.savez(folder / "a.npz", x=inputs, y=labels)
    return folder / "a.npz", {**TABLE, "inputs": "x", "label": "y"}


def _documents(folder: Path, **options: Any) -> tuple[Path, dict[str, Any]]:
    base = save_word_tokenizer(folder / "base")
    (base / "chat_template.jinja").write_text(
        "{% for one in messages %}{{ one.content }} {% endfor %}{% if add_generation_prompt %}{% endif %}"
    )
    found = []
    for number in range(N):
        text = WORDS[number % 5]
        talk = [{"role": "user", "content": "the"}, {"role": "assistant", "content": text}]
        found.append({"text": text, "ask": "the film", "talk": talk})
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    given = {"max_length": 5, "text": "text", "prompt": None, "pack": None, "separate": "line", "end": None}
    return folder / "a.jsonl", {
        **given, "tokenizer": str(base), "test": None, "test_fraction": 0.2, "chat": None, **options
    }  # fmt: skip


def _image_folder(folder: Path) -> tuple[Path, dict[str, Any]]:
    draw = np.random.default_rng(4)
    for number in range(N):
        place = folder / "images" / str(number % 3)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (3, 3), dtype=np.uint8)).save(place / f"{number}.png")
    return folder / "images", IMAGES


def _image_table(folder: Path) -> tuple[Path, dict[str, Any]]:
    return listed(folder, "csv"), IMAGES


CASES: dict[str, tuple[str, Callable[[Path], tuple[Path, dict[str, Any]]]]] = {
    "csv": ("csv", _csv),
    "jsonl": ("jsonl", _jsonl),
    "parquet": ("parquet", _parquet),
    "test rows by a column": ("csv", _by_column),
    "test rows by ids": ("parquet", _by_ids),
    "npz": ("npz", _npz),
    "documents": ("documents", _documents),
    "completions": ("documents", partial(_documents, prompt="ask")),
    "conversations": ("documents", partial(_documents, chat="talk")),
    "image-folder": ("image-folder", _image_folder),
    "image-table": ("image-folder", _image_table),
}
SMALL = {
    "TextBlocks": ([csv_files, jsonl_files], {"block_bytes": 300}),
    "NpzBlocks": ([npz], {"block_bytes": 200}),
    "DocumentBlocks": ([documents], {"block_bytes": 800}),
    "ImageBlocks": ([image_folder], {"block_files": 7}),
    "ImageTableBlocks": ([image_folder], {"block_bytes": 150}),
}


@pytest.fixture(scope="module", params=CASES)
def samples(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BlockSamples:
    name, make = CASES[request.param]
    path, options = make(tmp_path_factory.mktemp(request.param))
    with pytest.MonkeyPatch.context() as patched:
        for what, (modules, smaller) in SMALL.items():
            for module in modules:
                patched.setattr(module, what, partial(getattr(module, what), **smaller))
        found: Any = declared("datasets", name, "BLOCKS")(None, str(path), **options)
    train = found.train if isinstance(found, Dataset) else found.train(0)
    assert isinstance(train, BlockSamples) and len(train.block_sizes) > 2
    return train


def test_each_dataset_that_is_read_by_blocks_has_a_case() -> None:
    by_blocks = {name for name in DATASETS if declared("datasets", name, "BLOCKS") is not None}
    assert by_blocks == {name for name, _ in CASES.values()}


READERS = st.sampled_from([1, 2, 3, 4, 8])


@settings(max_examples=3)
@given(st.data())
def test_any_number_of_readers_takes_the_same_batches_and_resumes_under_another(
    samples: BlockSamples, data: st.DataObject
) -> None:
    size, lanes, window = (data.draw(st.integers(*limits)) for limits in ((2, 9), (8, 10), (1, 3)))
    settings = TrainSettings(epochs=2, batch_size=size, lanes=lanes, window=window)
    order = sample_order(samples, settings, data.draw(st.integers(0, 2)), 0)
    whole = list(samples.lane_batches(order, Group()))
    assert sum(len(targets) for _, targets in whole) == 2 * len(samples)
    # The first readers are stopped, most often in the middle of an epoch, and others resume.
    change = data.draw(st.integers(0, len(whole)))
    for readers, start, end in ((data.draw(READERS), 0, change), (data.draw(READERS), change, len(whole))):
        shares = [samples.lane_batches(order, Group(rank, readers), start) for rank in range(readers)]
        parts = [list(itertools.islice(share, end - start)) for share in shares]
        for batch, *found in zip(whole[start:end], *parts, strict=True):
            for place in range(2):
                assert torch.equal(torch.cat([share[place] for share in found]), batch[place])

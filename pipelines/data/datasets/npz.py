"""numpy archives (.npz)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from pipelines.data.blocks.block_dataset import load_blocks
from pipelines.data.blocks.block_index import IndexStore
from pipelines.data.datasets.dataset import Dataset, ExperienceDataset
from pipelines.data.datasets.held_out_part import Test, TestPart
from pipelines.data.datasets.image_layout import Channels
from pipelines.data.datasets.init_formats import FileFormat
from pipelines.data.datasets.npz_blocks import NpzBlocks
from pipelines.data.datasets.npz_reader import NpzReader
from pipelines.data.datasets.tables import TableFiles
from pipelines.data.detect_columns import npz_columns
from strategies.objectives.objective import TargetKind

INIT_FORMAT = FileFormat((".npz",), npz_columns)


def load(
    path: str,
    *,
    test: Test | None = None,
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2,
    inputs: str = "x",
    label: str = "y",
    id: str | None = None,  # noqa: A002 (the option's name)
    classes: Annotated[int, Field(ge=1)] | Sequence[int | str] | None = None,
    shape: Sequence[Annotated[int, Field(ge=1)]] | None = None,
    channels: Channels = "first",
    target_kind: TargetKind = "classes",
) -> Dataset | ExperienceDataset:
    """numpy archives, local or s3://: a file that is split by class, or a folder with one file per experience.

    Args:
        path: a .npz file, or a folder of them, one for each experience, in the natural order of their names: batch2
            before batch10.
        test: the test rows: a file, or a folder with files of the same names. Without it, arrays whose names end in
            _train and _test are used if there are any, else a fixed part of each class is held out for testing.
            {id_hash: 0.2} holds out this share by a hash of the ids instead: a sample stays on its side when a file
            grows.
        test_fraction: share of each class that is held out for testing.
        inputs: name of the array of inputs (n, *shape); in a file of images (n, channels, height, width).
        label: name of the array of labels (n,); with objective: regression or multi-label also (n, k).
        id: name of the array of ids (n,), whole numbers or text; by default row numbers are the ids.
        classes: number of classes, or the labels in the order of the classes; by default found from all labels. Set it
            where more classes are to come: it decides the size of the model's head.
        shape: shape that each input is given, such as [1, 28, 28]; by default the inputs keep theirs.
        channels: `last`, where images are (height, width, channels); models take them first.
    """
    reader = NpzReader(inputs, label, id)
    files = TableFiles.of(reader, path, test, test_fraction, classes, shape, channels)
    return files.learning(target_kind, (label,)).load("npz")


def blocks(
    store: IndexStore | None,
    path: str,
    test: str | TestPart | None,
    test_fraction: float,
    inputs: str,
    label: str,
    id: str | None,  # noqa: A002 (the option's name)
    classes: int | Sequence[int | str] | None,
    shape: Sequence[int] | None,
    channels: Channels,
    target_kind: TargetKind = "classes",
) -> Dataset | ExperienceDataset:
    """The same, read by runs of rows when they are needed, for streams with `lanes`.

    Args:
        store: keeps the index of the blocks.

    Raises:
        DataError: beside what `load` raises: compressed archives.
    """
    reader = NpzBlocks(inputs, label, id, kind=target_kind)
    files = TableFiles.of(reader, path, test, test_fraction, classes, shape, channels)
    return load_blocks("npz", reader, files.learning(target_kind, (label,)), store)


BLOCKS = blocks

"""What the datasets of tables have in common where they are read by blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NotRequired, TypedDict, Unpack

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.block_dataset import load_blocks
from pipelines.data.blocks.block_index import IndexStore
from pipelines.data.blocks.block_reader import BlockReader
from pipelines.data.blocks.table_content import BlockFeatures
from pipelines.data.datasets.arrow_columns import Columns
from pipelines.data.datasets.dataset import Dataset, ExperienceDataset
from pipelines.data.datasets.feature_image_blocks import FeatureImageBlocks
from pipelines.data.datasets.held_out_part import TestPart
from pipelines.data.datasets.image_layout import Channels
from pipelines.data.datasets.parquet_blocks import ParquetBlocks
from pipelines.data.datasets.tables import TableFiles
from pipelines.data.datasets.text_blocks import TextBlocks
from pipelines.data.datasets.time_periods import TimePeriods
from pipelines.data.features.feature_columns import FeatureOptions, Features
from strategies.objectives.objective import TargetKind


class TableOptions(TypedDict):
    """The options that all of them have, as their `load` says."""

    test: str | TestPart | None
    test_fraction: float
    inputs: str | Sequence[str] | None
    label: str | Sequence[str]
    id: str | None
    by: NotRequired[str | TimePeriods | None]
    time: NotRequired[str | None]
    classes: int | Sequence[int | str] | None
    shape: Sequence[int] | None
    channels: Channels
    features: NotRequired[Features | None]
    target_kind: NotRequired[TargetKind]


def load_block_tables(
    name: str,
    store: IndexStore | None,
    path: str,
    reader: Callable[..., TextBlocks | ParquetBlocks],
    *,
    from_training: bool = False,
    **options: Unpack[TableOptions],
) -> Dataset | ExperienceDataset:
    """The dataset.

    Args:
        name: for messages.
        store: keeps the index of the blocks.
        reader: of the file format, for some columns, `kind` and `features`.
        from_training: as in `TableFiles`.

    Raises:
        DataError: files are missing or do not fit, or are not read by blocks with these options.
    """
    columns = Columns.of(options["inputs"], options["label"], options["id"], options.get("by"), options.get("time"))
    test = options["test"]
    if isinstance(test, TestPart):
        columns, test = columns.sided(test), None
    kind, features = options.get("target_kind", "classes"), options.get("features")
    if features is not None and (options["shape"] is not None or options["channels"] != "first"):
        raise DataError("stream.dataset: features make inputs of one dimension: leave out shape and channels")
    given = None
    if features is not None:
        given = BlockFeatures(FeatureOptions() if isinstance(features, str) else features)
    made = reader(columns, kind=kind, features=given)
    files = TableFiles.of(
        made,
        path,
        test,
        options["test_fraction"],
        options["classes"],
        options["shape"],
        options["channels"],
        from_training,
    )
    blocks: BlockReader = FeatureImageBlocks(made) if given is not None and given.options.image else made
    return load_blocks(
        name, blocks, files.learning(kind, columns.label_names, columns.by), store, sides=columns.part is not None
    )

"""What the datasets of tables have in common where they are read by blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NotRequired, TypedDict, Unpack

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.block_dataset import load_blocks
from pipelines.data.blocks.block_index import IndexStore
from pipelines.data.blocks.block_reader import BlockReader
from pipelines.data.datasets.arrow_columns import Columns
from pipelines.data.datasets.dataset import Dataset, ExperienceDataset
from pipelines.data.datasets.held_out_part import TestPart
from pipelines.data.datasets.image_layout import Channels
from pipelines.data.datasets.tables import TableFiles
from pipelines.data.datasets.time_periods import TimePeriods
from strategies.objectives.objective import TargetKind

if TYPE_CHECKING:
    from pipelines.data.features.feature_columns import Features


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
    reader: Callable[[Columns], BlockReader],
    *,
    from_training: bool = False,
    **options: Unpack[TableOptions],
) -> Dataset | ExperienceDataset:
    """The dataset.

    Args:
        name: for messages.
        store: keeps the index of the blocks.
        reader: of the file format, for some columns.
        from_training: as in `TableFiles`.

    Raises:
        DataError: files are missing or do not fit, or are not read by blocks with these options.
    """
    refuse_in_lanes(options.get("features"), options.get("target_kind", "classes"), options.get("by"))
    made = reader(Columns.of(options["inputs"], options["label"], options["id"], time=options.get("time")))
    files = TableFiles.of(
        made,
        path,
        options["test"],
        options["test_fraction"],
        options["classes"],
        options["shape"],
        options["channels"],
        from_training,
    )
    return load_blocks(name, made, files, store)


def refuse_in_lanes(features: Features | None, target_kind: TargetKind, by: str | TimePeriods | None) -> None:
    """Refuse what is not read by blocks. Raises DataError."""
    if features is not None or target_kind != "classes":
        remedy = "leave out dataset.features" if features is not None else "use objective: classification"
        raise DataError(f"stream.lanes: in lanes inputs are columns of numbers, and targets are classes: {remedy}")
    if by is not None:
        raise DataError("stream.lanes: in lanes each experience has a file of its own: leave out dataset.by")

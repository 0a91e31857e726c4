"""A file through a model, some rows at a time: memory does not grow with the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.prediction.output_file import output_file
from pipelines.config.pipeline_errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from orchestrator.prediction.answers import Predictions
    from orchestrator.prediction.predicting import Predicting
    from pipelines.data.datasets.location import Location
    from pipelines.data.features.feature_columns import Kind

ROWS = 8192
"""Rows that are read, predicted and written at a time."""

IMAGES = 256
"""The same for rows that are image files."""


@dataclass
class Written:
    """What was written.

    Attributes:
        rows: how many.
        predicted: rows by the name of the predicted class; empty where values are predicted.
    """

    rows: int = 0
    predicted: Counter[str] = field(default_factory=Counter)


def predict_file(
    model: Predicting, source: str, target: Path, *, delimiter: str | None = None, replace: bool = False
) -> Written:
    """Write the predictions for the rows of a file, in their order.

    Args:
        model: of `load_model`.
        source: a .parquet, .csv, .jsonl or .npz file, local or in S3; for a model that was trained on image files also
            an image, or a folder of images.
        target: a .parquet, .csv or .jsonl file, with a row for each of the source: its id if there is one (of an image
            its path, as `file`), the prediction, and the probability of each class; or the values.
        delimiter: of a CSV file; None: a tab in .tsv files, else a comma.
        replace: whether a file that is there is replaced.

    Raises:
        DataError: the source cannot be read, or does not fit the model; the message names column and row.
        PipelineError: the target cannot be written.
    """
    import torch

    from orchestrator.prediction.predicting import manner, predictions
    from pipelines.data.datasets.location import Location

    written = Written()
    location = Location.of(source)
    with output_file(target, replace=replace) as out:
        if location.is_folder() and manner(model).inputs.images is None:
            raise DataError(f"--input {source}: is a folder: give a file")
        for ids, inputs in _batches(model, location, delimiter):
            found = predictions(model, inputs)
            out.write(_table(ids, found))
            written.rows += len(found)
            written.predicted.update(found.counts())
        if not written.rows:
            out.write(_table(None, predictions(model, torch.zeros(0, *manner(model).inputs.shape))))
    return written


def _batches(model: Predicting, location: Location, delimiter: str | None) -> Iterator[tuple[Any, Tensor]]:
    """Ids, or None, and inputs."""
    import pyarrow

    from orchestrator.prediction.predicting import manner
    from pipelines.data.images.class_folders import IMAGE_SUFFIXES
    from pipelines.data.row_batches import ARRAYS, TABLES, TEXTS, table_batches

    inputs, name = manner(model).inputs, location.name.lower()
    if inputs.images is not None and (name.endswith(IMAGE_SUFFIXES) or location.is_folder()):
        yield from _images(model, location)
        return
    if name.endswith(ARRAYS):
        yield from _arrays(model, location)
        return
    if not name.endswith(TABLES):
        raise DataError(f"--input {location.path}: must end in {', '.join((*TABLES, *ARRAYS))}")
    kinds: dict[str, Kind] = {} if inputs.preprocessing is None else inputs.preprocessing.kinds
    first_row, id_ = 0, inputs.columns.id
    if inputs.images is not None:
        kinds = {inputs.images.column: "categorical"}  # paths, that look like numbers too
        id_ = id_ or inputs.images.column

    def wanted(names: Any) -> list[str]:
        return inputs.wanted(names, location.path)

    rows = ROWS if inputs.images is None else IMAGES
    for table in table_batches(location, wanted, kinds, rows, delimiter):
        ids = (id_, table[id_]) if id_ is not None and id_ in table.column_names else None
        if ids is not None and not pyarrow.types.is_primitive(ids[1].type) and not pyarrow.types.is_string(ids[1].type):
            ids = None  # images themselves
        yield ids, inputs.of_table(table, location.path, first_row, text=name.endswith(TEXTS))
        first_row += len(table)


def _images(model: Predicting, location: Location) -> Iterator[tuple[Any, Tensor]]:
    import pyarrow

    from orchestrator.prediction.predicting import manner
    from pipelines.data.images.class_folders import folder_images
    from pipelines.data.images.image_sources import ImageSource

    if location.is_folder():
        found = folder_images(location)
    else:
        found = [(location.name, ImageSource(location.path, "", location))]
    for start in range(0, len(found), IMAGES):
        part = found[start : start + IMAGES]
        names = pyarrow.array([name for name, _ in part])
        yield ("file", names), manner(model).inputs.of_images([source for _, source in part])


def _arrays(model: Predicting, location: Location) -> Iterator[tuple[Any, Tensor]]:
    import pyarrow

    from orchestrator.prediction.predicting import manner
    from pipelines.data.row_batches import array_batches

    inputs = manner(model).inputs
    if inputs.preprocessing is not None:
        raise DataError(f"--input {location.path}: has no columns by name: the model takes parquet, csv or jsonl files")
    id_ = inputs.columns.id
    ids = iter(()) if id_ is None else array_batches(location, id_, ROWS)
    for array in array_batches(location, inputs.array, ROWS):
        own = next(ids, None)
        yield None if own is None else (id_, pyarrow.array(own)), inputs.of_array(array, location.path)


def _table(ids: Any, found: Predictions) -> Any:
    import pyarrow

    columns = {} if ids is None else {ids[0]: ids[1]}
    return pyarrow.table(columns | found.columns())

"""Predictions for a file, some rows at a time: memory does not grow with the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from orchestrator.prediction.output_file import output_file
from pipelines.config.pipeline_errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from orchestrator.prediction.predicting import Predicting
    from orchestrator.prediction.predictions import Predictions
    from pipelines.data.datasets.location import Location
    from pipelines.data.features.feature_columns import Kind
    from pipelines.data.images.image_sources import ImageSource
    from pipelines.data.model_inputs import ModelInputs

ROWS = 8192
"""Rows that are read, predicted and written at a time."""

IMAGES = 256
"""The same for rows that are image files, or have columns of images."""


@dataclass
class Written:
    """What was written.

    Attributes:
        rows: how many.
        predicted: rows by the name of the predicted class; empty where values are predicted.
    """

    rows: int = 0
    predicted: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Piece:
    """Some rows of a file, as they are in it.

    Attributes:
        ids: the name and the values of their ids; None: they have none.
        inputs: makes the model's inputs of them, (n, *shape).
    """

    ids: Any
    inputs: Callable[[ModelInputs], Tensor]


class Answered(NamedTuple):
    """The answers for a piece: an arrow table for the output, the number of rows, and how often each class is there."""

    table: Any
    rows: int
    counts: Counter[str]


def answer(model: Predicting, piece: Piece) -> Answered:
    """The answers for some rows. Raises DataError: they do not fit the model."""
    from orchestrator.prediction.predicting import manner, predictions

    found = predictions(model, piece.inputs(manner(model).inputs))
    return Answered(_table(piece.ids, found), len(found), found.counts())


def predict_file(
    model: Predicting,
    source: str,
    target: Path,
    *,
    delimiter: str | None = None,
    replace: bool = False,
    through: Callable[[Iterable[Piece]], Iterator[Answered]] | None = None,
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
        through: answers the pieces of the file, in their order; None: the model, in this process.

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
        pieces = _pieces(model, location, delimiter)
        for found in through(pieces) if through is not None else (answer(model, piece) for piece in pieces):
            out.write(found.table)
            written.rows += found.rows
            written.predicted.update(found.counts)
        if not written.rows:
            out.write(_table(None, predictions(model, torch.zeros(0, *manner(model).inputs.shape))))
    return written


def _pieces(model: Predicting, location: Location, delimiter: str | None) -> Iterator[Piece]:
    import pyarrow

    from orchestrator.prediction.predicting import manner
    from pipelines.data.images.class_folders import IMAGE_SUFFIXES
    from pipelines.data.row_batches import ARRAYS, TABLES, TEXTS, table_batches

    inputs, name = manner(model).inputs, location.name.lower()
    if inputs.images is not None and (name.endswith(IMAGE_SUFFIXES) or location.is_folder()):
        yield from _images(location)
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

    columns = () if inputs.preprocessing is None else inputs.preprocessing.images
    rows = ROWS if inputs.images is None and not columns else IMAGES
    for table in table_batches(location, wanted, kinds, rows, delimiter):
        ids = (id_, table[id_]) if id_ is not None and id_ in table.column_names else None
        if ids is not None and not pyarrow.types.is_primitive(ids[1].type) and not pyarrow.types.is_string(ids[1].type):
            ids = None  # images themselves
        yield Piece(ids, partial(_of_table, table, location.path, first_row, name.endswith(TEXTS)))
        first_row += len(table)


def _of_table(table: Any, where: str, first_row: int, text: bool, inputs: ModelInputs) -> Tensor:
    return inputs.of_table(table, where, first_row, text=text)


def _of_array(array: Any, where: str, inputs: ModelInputs) -> Tensor:
    return inputs.of_array(array, where)


def _of_images(sources: Sequence[ImageSource], inputs: ModelInputs) -> Tensor:
    return inputs.of_images(list(sources))


def _images(location: Location) -> Iterator[Piece]:
    import pyarrow

    from pipelines.data.images.class_folders import folder_images
    from pipelines.data.images.image_sources import ImageSource

    if location.is_folder():
        found = folder_images(location)
    else:
        found = [(location.name, ImageSource(location.path, "", location))]
    for start in range(0, len(found), IMAGES):
        part = found[start : start + IMAGES]
        names = pyarrow.array([name for name, _ in part])
        yield Piece(("file", names), partial(_of_images, [source for _, source in part]))


def _arrays(model: Predicting, location: Location) -> Iterator[Piece]:
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
        known = None if own is None else (id_, pyarrow.array(own))
        yield Piece(known, partial(_of_array, array, location.path))


def _table(ids: Any, found: Predictions) -> Any:
    import pyarrow

    columns = {} if ids is None else {ids[0]: ids[1]}
    return pyarrow.table(columns | found.columns())

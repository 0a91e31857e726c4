"""From a table, or from arrays, to a model's inputs, as in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import torch
from torch import Tensor

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.arrow_columns import PANDAS_INDEX, Columns, check_columns, numbers, together
from pipelines.data.datasets.image_layout import Channels, channels_first
from pipelines.data.datasets.location import Location
from pipelines.data.features.raw_columns import Place
from pipelines.data.images.decode_images import decode_images
from pipelines.data.images.image_options import ImageInputs
from pipelines.data.images.image_sources import ImageSource, column_sources
from pipelines.data.zero_copy import tensor_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipelines.data.features.preprocessing import Preprocessing

_TABLE = "the table"


@dataclass(frozen=True)
class ModelInputs:
    """How inputs are made.

    Attributes:
        shape: of one input, as the model takes it.
        preprocessing: from the columns of a table; None: the columns are numbers.
        columns: which columns are inputs, where there is no preprocessing, and which are not.
        array: name of the array of inputs in a file of arrays.
        channels: `last`: images (..., channels) become (channels, ...).
        images: the column of images, and what they become; None: the model was trained on no image files.
    """

    shape: tuple[int, ...]
    preprocessing: Preprocessing | None = None
    columns: Columns = field(default_factory=lambda: Columns(None, "label", None))
    array: str = "x"
    channels: Channels = "first"
    images: ImageInputs | None = None

    @classmethod
    def of_dataset(
        cls,
        shape: tuple[int, ...],
        preprocessing: Preprocessing | None,
        options: Mapping[str, Any],
        images: ImageInputs | None = None,
    ) -> ModelInputs:
        """Inputs of a model that was trained on a dataset with these options, as the pipeline file has them.

        Args:
            images: how image files become inputs, as its commit says.
        """
        inputs, label, id_ = (options.get(key) for key in ("inputs", "label", "id"))
        columns = Columns.of(_names(inputs), _names(label) or "label", id_ if isinstance(id_, str) else None)
        test = options.get("test")
        mark = (test.get("column") or test.get("time")) if isinstance(test, Mapping) else None
        by, time = (one if isinstance(one, str) else None for one in (options.get("by"), options.get("time")))
        columns = replace(columns, by=by, time=time, mark=mark)
        channels: Channels = "last" if options.get("channels") == get_args(Channels)[1] else "first"
        return cls(shape, preprocessing, columns, inputs if isinstance(inputs, str) else "x", channels, images)

    def of(self, data: Any) -> Tensor:
        """The inputs of a table or an array in memory, (n, *shape).

        Args:
            data: as `Predicting.predict` takes it.

        Raises:
            DataError: it does not fit.
        """
        import pyarrow

        if isinstance(data, Tensor):
            return self._shaped(data, "the tensor")
        if isinstance(data, np.ndarray):
            return self.of_array(data, "the array")
        if isinstance(data, pyarrow.RecordBatch):
            data = pyarrow.Table.from_batches([data])
        if isinstance(data, pyarrow.Table):
            return self.of_table(data, _TABLE)
        try:
            if hasattr(data, "to_dict") and hasattr(data, "columns"):
                return self.of_table(pyarrow.Table.from_pandas(data, preserve_index=False), _TABLE)
            if isinstance(data, Mapping):
                return self.of_table(pyarrow.table({str(name): values for name, values in data.items()}), _TABLE)
            if isinstance(data, list | tuple) and data and all(isinstance(row, Mapping) for row in data):
                names = dict.fromkeys(str(name) for row in data for name in row)
                return self.of(pyarrow.table({name: [row.get(name) for row in data] for name in names}))
        except (pyarrow.ArrowException, TypeError) as error:
            raise DataError(f"{_TABLE}: {str(error).strip().partition(chr(10))[0]}") from error
        raise DataError(
            f"cannot predict from {type(data).__name__}: give a tensor or an array, a data frame, an arrow table, a "
            "mapping of names to columns, or a list of rows as mappings"
        )

    def wanted(self, names: Sequence[str], where: str) -> list[str]:
        """The columns to read of a file that has the columns `names`: inputs, and the id if it is there.

        Raises:
            DataError: a column is missing, or there are two of its name.
        """
        location = Location(where)
        if self.images is not None:
            inputs = [self.images.column]
            check_columns(inputs, names, location, "image")
        elif self.preprocessing is not None:
            inputs = list(self.preprocessing.kinds)
            missing = [name for name in inputs if name not in names]
            if missing:
                raise DataError(
                    f"{where}: has no column {', '.join(map(repr, missing[:5]))}, which the model was trained on: "
                    f"its columns are {', '.join(names[:20])}"
                )
        else:
            inputs = list(self.columns.input_names([n for n in names if n and not PANDAS_INDEX.fullmatch(n)], location))
            check_columns(inputs, names, location, "inputs")
        id_ = self.columns.id
        found = [*inputs, *([id_] if id_ is not None and id_ in names and id_ not in inputs else [])]
        twice = [name for name in found if names.count(name) > 1]
        if twice:
            raise DataError(f"{where}: has two columns of the name {twice[0]!r}")
        return found

    def of_table(self, table: Any, where: str, first_row: int = 0, *, text: bool = False) -> Tensor:
        """The inputs of an arrow table, (n, *shape).

        Args:
            where: the file, for messages.
            first_row: number of the table's first row in the file.
            text: the file is text, of which all numbers are float32.

        Raises:
            DataError: a column is missing, or a value is of another kind than in training.
        """
        if self.images is not None:
            check_columns([self.images.column], table.column_names, Location(where), "image")
            folder = Location.of(".") if where == _TABLE else Location(where).parent
            column = table[self.images.column]
            return self.of_images(list(column_sources(column, self.images.column, where, folder, first_row)))
        if self.preprocessing is not None:
            return torch.from_numpy(self.preprocessing.transform(table, where, first_row))
        names = [name for name in self.wanted(table.column_names, where) if name != self.columns.id]
        location = Location(where)
        for name in names:
            if table[name].null_count:
                row = int(np.flatnonzero(table[name].is_null().to_numpy())[0])
                raise Place(where, name, first_row).refused("has no value", row)
        found = together([numbers(table[name], name, location) for name in names], names, location)
        return self.of_array(found.astype(np.float32) if text else found, where)

    def of_images(self, sources: Sequence[ImageSource]) -> Tensor:
        """The inputs of images, (n, *shape). Raises DataError: an image is broken."""
        assert self.images is not None
        return torch.from_numpy(decode_images(sources, self.images.options))

    def of_array(self, array: NDArray[Any], where: str) -> Tensor:
        """The inputs of an array as a dataset stores them, (n, ...), reshaped to (n, *shape).

        Raises:
            DataError: it has no numbers, or the shape does not fit.
        """
        if array.dtype.kind not in "biuf":
            raise DataError(f"{where}: inputs must be numbers, got {array.dtype}")
        if self.channels == "last" and array.shape[1:] != self.shape:
            array = channels_first(array, where)
        return self._shaped(tensor_of(array), where)

    def _shaped(self, inputs: Tensor, where: str) -> Tensor:
        if tuple(inputs.shape[1:]) != self.shape:
            try:
                return inputs.reshape(len(inputs), *self.shape)
            except (RuntimeError, TypeError) as error:
                raise DataError(
                    f"{where}: its inputs are of shape {tuple(inputs.shape[1:])}, but the model takes {self.shape}"
                ) from error
        return inputs


def _names(value: Any) -> str | list[str] | None:
    """A name or a list of names; None for anything else."""
    if isinstance(value, str):
        return value
    return list(map(str, value)) if isinstance(value, list) and value else None

"""What a request asks: rows, columns or tensors in JSON, a CSV or a parquet file, as a model's inputs."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

import numpy as np
import torch

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.location import Location

if TYPE_CHECKING:
    from torch import Tensor

    from orchestrator.serving.model_swap import ServedModel
    from pipelines.data.model_inputs import ModelInputs

MOST_ROWS = 100_000
"""Rows that one request may have: a small parquet file can hold very many."""

DEEPEST = 32
"""Lists and objects inside one another, in JSON: arrow and numpy take very long over deeper ones."""

WHERE = "the body"
FORMS = ("rows", "columns", "inputs")
DTYPES = {name: getattr(torch, name) for name in ("float32", "float64", "uint8", "int64")}
FILES = {
    "text/csv": "body.csv",
    "application/vnd.apache.parquet": "body.parquet",
    "application/x-parquet": "body.parquet",
}
"""Name of the file that a body of a content type is read as."""
JSON_TYPES = ("application/json", "")


class TooManyRows(DataError):
    """A request has more rows than one may have."""


@dataclass(frozen=True)
class Question:
    """A request as it came.

    Attributes:
        body: its bytes.
        content_type: without parameters, in small letters.
        commit: that is to answer, or a ref; None: that of the ref that is followed.
        experience: whose adapter or head is to answer; None: the model finds it itself, or needs none.
    """

    body: bytes = field(repr=False)
    content_type: str = "application/json"
    commit: str | None = None
    experience: int | None = None


def is_known(content_type: str) -> bool:
    """Whether bodies of this content type can be read."""
    return content_type in JSON_TYPES or content_type in FILES


def inputs_of(question: Question, served: ServedModel) -> Tensor:
    """The inputs of a request as a model takes them, (n, *shape), n >= 1.

    Raises:
        DataError: it cannot be read, or does not fit the model; the message names column and row.
    """
    found = _of_file(question, served) if question.content_type in FILES else _of_json(question, served)
    if not len(found):
        raise DataError(f"{WHERE}: has no rows")
    return found


def _of_json(question: Question, served: ServedModel) -> Tensor:
    document = parsed_json(question.body)
    given = [name for name in FORMS if isinstance(document, dict) and name in document]
    if len(given) != 1:
        raise DataError(
            f'{WHERE}: must be an object with one of rows, columns and inputs, such as {{"rows": [{{"a": 1}}]}}'
        )
    unknown = sorted(set(document) - {given[0], "dtype"})
    if unknown:
        raise DataError(f"{WHERE}: has unknown keys: {', '.join(unknown[:5])}")
    if given[0] == "inputs":
        return _tensor(document["inputs"], document.get("dtype"), served)
    if "dtype" in document:
        raise DataError(f"{WHERE}: dtype belongs to inputs: the columns of a table have their own types")
    _refuse_paths(served)
    table = _of_rows(document["rows"]) if given[0] == "rows" else _of_columns(document["columns"])
    # Numbers in JSON are as in other text: 1 and 1.0 are the same.
    return _model_inputs(served).of_table(table, WHERE, text=True)


def parsed_json(body: bytes) -> Any:
    """The JSON of a body. Raises DataError: it is none, or lies too deep."""

    def refuse(constant: str) -> NoReturn:
        raise DataError(f"{WHERE}: {constant} is no JSON: leave a missing value out, or give null")

    try:
        document = json.loads(body.decode("utf-8"), parse_constant=refuse)
    except UnicodeDecodeError as error:
        raise DataError(f"{WHERE}: is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{WHERE}: not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except (RecursionError, ValueError):
        raise DataError(f"{WHERE}: not JSON that can be read: too deep, or a number of too many digits") from None
    _check_depth(document)
    return document


def _check_depth(document: Any) -> None:
    level = [document]
    for _ in range(DEEPEST + 1):
        inner = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list))
        level = [value for values in inner for value in values if isinstance(value, dict | list)]
        if not level:
            return
    raise DataError(f"{WHERE}: has more than {DEEPEST} lists and objects inside one another")


def _of_rows(rows: Any) -> Any:
    if not isinstance(rows, list) or not rows:
        raise DataError(f"{WHERE}: rows must be a list of one object or more")
    check_count(len(rows))
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise DataError(f"{WHERE}: row {number} must be an object of columns, got {type(row).__name__}")
    names = dict.fromkeys(name for row in rows for name in row)
    return _table({name: [row.get(name) for row in rows] for name in names})


def _of_columns(columns: Any) -> Any:
    if not isinstance(columns, dict) or not all(isinstance(values, list) for values in columns.values()):
        raise DataError(f"{WHERE}: columns must be an object of lists")
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1:
        found = ", ".join(f"{name}: {len(values)}" for name, values in list(columns.items())[:5])
        raise DataError(f"{WHERE}: columns must be of one length, got {found or 'none'}")
    check_count(lengths.pop())
    return _table(columns)


def _table(columns: dict[str, list[Any]]) -> Any:
    import pyarrow

    arrays = []
    for name, values in columns.items():
        if not name.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in name):
            raise DataError(f"{WHERE}: the name of column {name[:50]!r} has half of a character, \\ud800 to \\udfff")
        try:
            arrays.append(pyarrow.array(values))
        except (pyarrow.ArrowException, TypeError, ValueError, OverflowError) as error:
            reason = str(error).strip().partition("\n")[0][:200]
            raise DataError(f"{WHERE}: column '{name[:50]}' has values of several kinds: {reason}") from None
    return pyarrow.table(arrays, names=list(columns))


def _tensor(values: Any, dtype: Any, served: ServedModel) -> Tensor:
    if dtype is not None and not (isinstance(dtype, str) and dtype in DTYPES):
        raise DataError(f"{WHERE}: dtype must be one of {', '.join(DTYPES)}")
    if not isinstance(values, list):
        raise DataError(f"{WHERE}: inputs must be a list of inputs, got {type(values).__name__}")
    check_count(len(values))
    if not values:
        raise DataError(f"{WHERE}: has no rows")
    wanted = served.dtype if dtype is None else DTYPES[dtype]
    try:
        array = np.asarray(values)
    except ValueError:
        raise DataError(f"{WHERE}: the lists in inputs differ in length") from None
    if array.dtype.kind not in "biuf":
        raise DataError(f"{WHERE}: inputs must be numbers in lists of equal length")
    if array.dtype.kind == "f" and not wanted.is_floating_point:
        raise DataError(f"{WHERE}: inputs of dtype {str(wanted).removeprefix('torch.')} must be whole numbers")
    if wanted == torch.uint8 and array.size and (array.min() < 0 or array.max() > 255):
        raise DataError(f"{WHERE}: inputs of dtype uint8 must be from 0 to 255")
    with np.errstate(over="ignore"):  # what is too large for the type is infinite
        array = array.astype(str(wanted).removeprefix("torch."))
    return _model_inputs(served).of_array(array, WHERE)


@dataclass(frozen=True)
class _Body(Location):
    """A body, where a file is expected."""

    data: bytes = field(default=b"", repr=False)
    kind: str = "body.csv"

    @property
    def name(self) -> str:
        return self.kind

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        try:
            yield io.BytesIO(self.data)
        except OSError as error:  # of a parquet file whose parts are damaged
            raise DataError(f"{WHERE}: cannot be read: {' '.join(str(error).split())[:200]}") from None


def _of_file(question: Question, served: ServedModel) -> Tensor:
    from pipelines.data.row_batches import TEXTS, table_batches

    _refuse_paths(served)
    inputs, name = _model_inputs(served), FILES[question.content_type]
    kinds = {} if inputs.preprocessing is None else inputs.preprocessing.kinds
    body = _Body(WHERE, question.body, name)
    found: list[Tensor] = []
    first_row = 0

    def wanted(names: Sequence[str]) -> list[str]:
        return inputs.wanted(names, WHERE)

    try:
        for table in table_batches(body, wanted, kinds, 8192):
            found.append(inputs.of_table(table, WHERE, first_row, text=name.endswith(TEXTS)))
            first_row += len(table)
            check_count(first_row)
    except UnicodeDecodeError:
        raise DataError(f"{WHERE}: is not UTF-8") from None
    return torch.cat(found) if found else torch.zeros(0, *inputs.shape)


def _refuse_paths(served: ServedModel) -> None:
    """A table of a model of images names image files: a client must not choose what this machine opens."""
    if _model_inputs(served).images is not None:
        shape = ", ".join(map(str, _model_inputs(served).shape))
        raise DataError(f'{WHERE}: this model takes images: send them as inputs, (n, {shape}), with dtype "uint8"')
    preprocessing = _model_inputs(served).preprocessing
    if preprocessing is not None and preprocessing.images:
        names = ", ".join(map(repr, preprocessing.images))
        raise DataError(
            f"{WHERE}: this model takes images from the column {names}, which a request cannot name: "
            "use everlearn predict"
        )


def check_count(rows: int) -> None:
    """Raises TooManyRows: a request has more than `MOST_ROWS`."""
    if rows > MOST_ROWS:
        raise TooManyRows(f"{WHERE}: has more than {MOST_ROWS:,} rows: send several requests, or use everlearn predict")


def _model_inputs(served: ServedModel) -> ModelInputs:
    from orchestrator.prediction.predicting import manner

    return manner(served.model).inputs

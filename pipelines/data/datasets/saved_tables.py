"""Reads what `save_to_disk` of Hugging Face's datasets writes, with pyarrow alone.

A saved dataset is a folder with state.json (which files), dataset_info.json (what the columns are) and Arrow streams. A
saved DatasetDict is a folder with dataset_dict.json and a saved dataset for each split.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.location import Location

_DICT, _STATE, _INFO = "dataset_dict.json", "state.json", "dataset_info.json"


def saved_splits(folder: Location) -> list[str] | None:
    """The splits of a saved DatasetDict; None: the folder is none.

    Raises:
        DataError: its list of splits is damaged.
    """
    if not _has(folder, _DICT):
        return None
    found = _document(folder / _DICT).get("splits")
    if not isinstance(found, list) or not found:
        raise DataError(f"{folder.path}/{_DICT}: names no splits: save the data set again")
    return list(map(str, found))


def is_saved(folder: Location) -> bool:
    """Whether a folder is a saved dataset."""
    return _has(folder, _STATE)


def saved_features(folder: Location) -> dict[str, dict[str, Any]]:
    """What each column of a saved dataset is, as Hugging Face describes it: `_type` and more.

    Raises:
        DataError: the description is missing or damaged.
    """
    found = _document(folder / _INFO).get("features")
    if not isinstance(found, dict):
        raise DataError(f"{folder.path}/{_INFO}: describes no features: save the data set again")
    return {str(name): one if isinstance(one, dict) else {} for name, one in found.items()}


def class_label_names(feature: dict[str, Any]) -> list[str] | None:
    """The names of a column of the type ClassLabel; None: it is of another type."""
    names = feature.get("names")
    return list(map(str, names)) if feature.get("_type") == "ClassLabel" and isinstance(names, list) else None


def read_saved(location: Location, *, texts: Collection[str] = (), only: Sequence[str] | None = None) -> Any:
    """All rows of a saved dataset as an arrow table. A ClassLabel becomes the name of its class.

    Args:
        texts: not needed here: the files say the types.
        only: the columns to read, of which those are left out that the dataset lacks; None: all.

    Raises:
        DataError: a file is missing or damaged, or a label is no class; the message names it.
    """
    import pyarrow

    state = _document(location / _STATE)
    files = [str(one["filename"]) for one in state.get("_data_files") or [] if isinstance(one, dict)]
    if state.get("_indices_data_files"):
        raise DataError(f"{location.path}: its rows are selected by indices: save it again after flatten_indices()")
    if not files:
        raise DataError(f"{location.path}/{_STATE}: names no data files: save the data set again")
    features = saved_features(location)
    tables = []
    for name in files:
        with _opened(location / name) as stream:
            table = stream.read_all()
            wanted = [column for column in table.column_names if only is None or column in only]
            tables.append(table.select(wanted))
    whole = pyarrow.concat_tables(tables)
    for place, name in enumerate(whole.column_names):
        names = class_label_names(features.get(name, {}))
        if names is not None and pyarrow.types.is_integer(whole[name].type):
            whole = whole.set_column(place, name, _named(whole[name], names, f"{location.path}: column '{name}'"))
    return whole


def _named(column: Any, names: list[str], where: str) -> Any:
    import pyarrow

    numbers = column.to_pylist()
    row = next((row for row, n in enumerate(numbers) if n is not None and not 0 <= n < len(names)), None)
    if row is not None:
        why = " (-1: it has no label)" if numbers[row] == -1 else ""
        raise DataError(f"{where} has the class {numbers[row]}{why} in row {row}, but has {len(names)} classes")
    return pyarrow.chunked_array([pyarrow.array([None if n is None else names[n] for n in numbers], pyarrow.string())])


@contextmanager
def _opened(file: Location) -> Iterator[Any]:
    import pyarrow

    with file.open() as opened:
        try:
            yield pyarrow.ipc.open_stream(opened)
        except (pyarrow.ArrowException, EOFError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise DataError(f"{file.path}: not a readable Arrow stream: {reason}. Save the data set again") from error


def _has(folder: Location, name: str) -> bool:
    try:
        with (folder / name).open():
            return True
    except DataError as error:
        if "there is no such file" in str(error):
            return False
        raise


def _document(file: Location) -> dict[str, Any]:
    with file.open() as opened:
        data = opened.read()
    try:
        found = json.loads(data)
    except ValueError as error:
        raise DataError(f"{file.path}: is no JSON: {error}. Save the data set again") from error
    if not isinstance(found, dict):
        raise DataError(f"{file.path}: is no JSON object: save the data set again")
    return found

"""Which columns of a parquet file, or arrays of an npz file, are the inputs, the labels and the ids."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.arrow_columns import PANDAS_INDEX
from pipelines.data.datasets.init_formats import Found
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.missing_name import LABEL_NAMES

_INPUTS = ("x", "inputs", "input", "images", "image", "data", "features")
_IDS = ("id", "ids", "uuid")
Different = Callable[[Sequence[str]], dict[str, tuple[int, int]]]
"""For each column of a file, how many different values it has, and in how many rows."""

MOST_CLASSES = 1000
"""A column with more different values has no labels, but ids or measurements."""


def npz_columns(files: Sequence[Location], label: str | None = None) -> Found:
    """The options `inputs`, `label` and `id` for npz files with arrays of the same names.

    Raises:
        DataError: a file cannot be read, or it is not clear which arrays are meant.
    """
    arrays = _npz_arrays(files[0])
    apart = {name.removesuffix("_train") for name in arrays if name.endswith("_train")}
    names = sorted(apart) if apart else list(arrays)
    shapes = {name: arrays[f"{name}_train" if apart else name] for name in names}
    where = files[0].path
    if label is not None and label not in shapes:
        raise DataError(f"{where}: has no array '{label}'; it has {', '.join(names) or 'none'}")
    flat = [name for name in names if len(shapes[name][0]) == 1 or shapes[name][0][1:] == (1,)]
    target = label or _named(names, LABEL_NAMES)
    inputs = _named([name for name in names if name != target], _INPUTS)
    inputs = inputs or _only(name for name in names if name not in flat and name != target)
    target = target or _only(name for name in flat if name != inputs and shapes[name][1] in "iubUSO")
    if inputs is None or target is None:
        missing = "inputs" if inputs is None else "labels"
        listed = ", ".join(f"{name} {shape}" for name, (shape, _) in shapes.items())
        raise DataError(
            f"{where}: it is not clear which array has the {missing}; it has {listed or 'none'}. "
            "Call the inputs x and the labels y, or name the labels with --label"
        )
    notes = [f"Inputs from the array '{inputs}', labels from '{target}'"]
    notes += ["Test samples are in arrays of their own (_test)"] if apart else []
    options = {"inputs": inputs} if inputs != "x" else {}
    options |= {"label": target} if target != "y" else {}
    ids = _named([name for name in flat if name not in (inputs, target)], _IDS)
    if ids is not None:
        options["id"] = ids
        notes.append(f"Ids from the array '{ids}'")
    return options, notes


def parquet_columns(files: Sequence[Location], label: str | None = None) -> Found:
    """The options `inputs`, `label` and `id` for parquet files with the same columns.

    Raises:
        DataError: a file cannot be read, or it is not clear which column has the labels.
    """
    schema, empty = _parquet_schema(files)
    return _table_columns(files[0].path, schema, empty, partial(_different_in_parquet, files[0]), label)


def text_columns(read: Callable[[Location], Any], files: Sequence[Location], label: str | None = None) -> Found:
    """The options `inputs`, `label` and `id` for files of text with the same columns.

    Args:
        read: reads a file as an arrow table.

    Raises:
        DataError: a file cannot be read, or it is not clear which column has the labels.
    """
    first = read(files[0])
    empty = {name for name in first.column_names if first[name].null_count}
    for file in files[1:]:
        table = read(file)
        empty |= {name for name in table.column_names if table[name].null_count}
    schema = {column.name: _kind(column.type) for column in first.schema if column.name}
    return _table_columns(files[0].path, schema, empty, partial(_different, first), label)


def _table_columns(
    where: str, schema: dict[str, str], empty: set[str], different: Different, label: str | None
) -> Found:
    """The options from the kinds of the columns of a file, and the columns that lack values."""
    names = list(schema)
    if label is not None and label not in schema:
        raise DataError(f"{where}: has no column '{label}'; it has {', '.join(names[:20])}")
    target = label or _named(names, LABEL_NAMES) or _by_values(different, schema, empty)
    if target is None:
        raise DataError(
            f"{where}: it is not clear which column has the labels; name it with --label. "
            f"The columns are {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}"
        )
    ids = _identifier(
        different, [name for name in names if name != target and schema[name] in ("whole", "text")], empty
    )
    rest = [name for name in names if name not in (target, ids)]
    lists = [name for name in rest if schema[name] == "list"]
    inputs = lists[:1] or [name for name in rest if schema[name] in ("whole", "number", "flag") and name not in empty]
    if not inputs:
        raise DataError(f"{where}: no column besides '{target}' holds numbers without missing values, for the inputs")
    left_out = [name for name in rest if name not in inputs]
    notes = [f"Labels from the column '{target}'"] + ([f"Ids from the column '{ids}'"] if ids else [])
    what = f"the column '{inputs[0]}'" if len(inputs) == 1 else f"{len(inputs)} columns of numbers"
    notes.append(f"Inputs from {what}")
    if left_out:
        more = f" and {len(left_out) - 10} more" if len(left_out) > 10 else ""
        notes.append(f"Not used: {', '.join(left_out[:10])}{more} (not numbers, or values are missing)")
    options: dict[str, Any] = {"label": target} if target != "label" else {}
    options |= {"id": ids} if ids else {}
    options |= {"inputs": inputs} if left_out else {}
    return options, notes


def _npz_arrays(file: Location) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and dtype kind of each array, from its header."""
    import zipfile

    import numpy as np

    found: dict[str, tuple[tuple[int, ...], str]] = {}
    with file.open() as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                for name in archive.namelist():
                    with archive.open(name) as array:
                        version = np.lib.format.read_magic(array)
                        read = np.lib.format.read_array_header_1_0
                        shape, _, dtype = (read if version == (1, 0) else np.lib.format.read_array_header_2_0)(array)
                    found[name.removesuffix(".npy")] = (shape, dtype.kind)
        except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
            raise DataError(f"{file.path}: not a readable npz file: {error}") from error
    return found


def _parquet_schema(files: Sequence[Location]) -> tuple[dict[str, str], set[str]]:
    """The kind of each column of the first file, and the columns that lack values in any file."""
    import pyarrow
    from pyarrow import parquet

    schema: dict[str, str] = {}
    empty: set[str] = set()
    for file in files:
        with file.open() as stream:
            try:
                opened = parquet.ParquetFile(stream)
            except pyarrow.ArrowException as error:
                raise DataError(f"{file.path}: not a readable parquet file: {error}") from error
            schema = schema or {
                column.name: _kind(column.type)
                for column in opened.schema_arrow
                if not PANDAS_INDEX.fullmatch(column.name)
            }
            groups, columns = range(opened.metadata.num_row_groups), range(opened.metadata.num_columns)
            for group, column in itertools.product(groups, columns):
                part = opened.metadata.row_group(group).column(column)
                if part.statistics is not None and part.statistics.null_count:
                    empty.add(part.path_in_schema.partition(".")[0])
    return schema, empty


def _kind(arrow: Any) -> str:
    from pyarrow import types

    if types.is_dictionary(arrow):
        arrow = arrow.value_type
    if types.is_list(arrow) or types.is_large_list(arrow) or types.is_fixed_size_list(arrow):
        inner = _kind(arrow.value_type)
        return "list" if inner in ("whole", "number", "flag", "list") else "other"
    kinds = {"flag": types.is_boolean, "whole": types.is_integer, "number": types.is_floating}
    text = types.is_string(arrow) or types.is_large_string(arrow)
    return "text" if text else next((kind for kind, test in kinds.items() if test(arrow)), "other")


def _by_values(different: Different, schema: dict[str, str], empty: set[str]) -> str | None:
    """The only column with few different values and no missing ones."""
    likely = [name for name, kind in schema.items() if kind in ("whole", "text", "flag") and name not in empty]
    return _only(
        name for name, (count, rows) in different(likely).items() if 2 <= count <= min(MOST_CLASSES, rows // 4)
    )


def _identifier(different: Different, candidates: Sequence[str], empty: set[str]) -> str | None:
    likely = [n for n in candidates if (n.lower() in _IDS or n.lower().endswith("_id")) and n not in empty]
    return _only(name for name, (count, rows) in different(likely).items() if count == rows)


def _different_in_parquet(file: Location, columns: Sequence[str]) -> dict[str, tuple[int, int]]:
    from pyarrow import parquet

    if not columns:
        return {}
    with file.open() as stream:
        return _different(parquet.ParquetFile(stream).read(columns=list(columns)), columns)


def _different(table: Any, columns: Sequence[str]) -> dict[str, tuple[int, int]]:
    """For each column, how many different values it has, and in how many rows."""
    import pyarrow.compute as compute

    return {name: (compute.count_distinct(table[name]).as_py(), len(table)) for name in columns}


def _named(names: Iterable[str], wanted: Sequence[str]) -> str | None:
    by_lower = {name.lower(): name for name in reversed(list(names))}
    return next((by_lower[word] for word in wanted if word in by_lower), None)


def _only(names: Iterable[str]) -> str | None:
    found = list(names)
    return found[0] if len(found) == 1 else None

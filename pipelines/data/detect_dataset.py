"""Which dataset reads the data at a path, and with which options: for `everlearn init`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.config.components import declared, names
from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.init_formats import FileFormat, FolderFormat, Found
from pipelines.data.datasets.location import Location

_PANDAS_READERS = {
    ".json": "read_json",
    ".xlsx": "read_excel",
    ".feather": "read_feather",
    ".arrow": "read_feather",
}
"""Functions of pandas that read tables; the remedy for a table that no dataset reads."""


@dataclass
class Detected:
    """A dataset for a pipeline file.

    Attributes:
        name: name of the dataset.
        options: as in a pipeline file.
        notes: what was found and what was chosen, a sentence each.
        table: whether the inputs are columns of numbers, which may differ in size.
    """

    name: str
    options: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    table: bool = False


def detect_dataset(path: str, label: str | None = None) -> Detected:
    """The dataset for the data at `path`.

    Args:
        path: a file or a folder, on this machine or s3://.
        label: the column or array of the labels; None: chosen by its name or its values.

    Raises:
        DataError: there is no data, or no dataset reads it; the message says what is supported.
    """
    where = Location.of(path)
    if not where.is_folder():
        for name, form, suffix in _file_formats():
            if path.lower().endswith(suffix):
                options, notes = form.options([where], label)
                return Detected(name, {"path": path, **options}, notes, form.table)
        raise DataError(_unsupported(path))
    for name, form, suffix in _file_formats():
        files, tests, chosen = _files(where, path, suffix)
        if files:
            options, notes = form.options(files + tests, label)
            return Detected(name, chosen | options, [_folder_note(files, tests, name), *notes], form.table)
    found = _folder(path)
    if found is None:
        raise DataError(_unsupported(path))
    return found


def _formats() -> Iterator[tuple[str, object]]:
    """Each dataset's name with its declaration, built-in datasets first; those without a declaration are left out."""
    for component in sorted(names("datasets"), key=lambda component: component.origin != "built-in"):
        form = declared("datasets", component.name, "INIT_FORMAT")
        if form is not None:
            yield component.name, form


def _file_formats() -> Iterator[tuple[str, FileFormat, str]]:
    for name, form in _formats():
        if isinstance(form, FileFormat):
            yield from ((name, form, suffix) for suffix in form.suffixes)


def _folder(path: str) -> Detected | None:
    problems: list[DataError] = []
    for name, form in _formats():
        if isinstance(form, FolderFormat):
            found: Found | None = None
            try:
                found = form.options(path)
            except DataError as error:
                problems.append(error)
            if found is not None:
                return Detected(name, *found)
    if problems:
        raise problems[0]
    return None


def _files(where: Location, path: str, suffix: str) -> tuple[list[Location], list[Location], dict[str, Any]]:
    """Training files, test files, and the options that name them; nothing where the folder has no such files."""
    files, folder = _listed(where, suffix), path.rstrip("/") or path
    if not files:
        train, test = _listed(where / "train", suffix), _listed(where / "test", suffix)
        if not train:
            return [], [], {}
        chosen = {"path": f"{folder}/train"} | ({"test": f"{folder}/test"} if test else {})
        return train, test, chosen
    train = [file for file in files if file.name.lower().startswith("train")]
    test = [file for file in files if file.name.lower().startswith("test")]
    if len(files) == 2 and len(train) == len(test) == 1:
        return train, test, {"path": f"{folder}/{train[0].name}", "test": f"{folder}/{test[0].name}"}
    if len(files) == 1:
        return files, [], {"path": f"{folder}/{files[0].name}"}
    return files, [], {"path": folder}


def _listed(where: Location, suffix: str) -> list[Location]:
    try:
        return where.files(suffix)
    except DataError:
        return []


def _folder_note(files: Sequence[Location], tests: Sequence[Location], name: str) -> str:
    named = files[0].name if len(files) == 1 else f"{files[0].name} to {files[-1].name}"
    word = f"1 {name} file" if len(files) == 1 else f"{len(files)} {name} files"
    return f"{word} with training samples: {named}" + (f"; test samples in {tests[0].name}" if len(tests) == 1 else "")


def _unsupported(path: str) -> str:
    suffix = Path(path).suffix.lower()
    folder = Path(path)
    if not suffix and folder.is_dir():
        inside = sorted({file.suffix.lower() for file in folder.iterdir() if file.suffix})
        suffix = next((one for one in inside if one in _PANDAS_READERS), "")
        what = f"it has {', '.join(inside[:5])} files" if inside else "it has no files"
        text = f"{path}: this folder has no data that a dataset reads ({what}). {_supported()}."
    else:
        text = f"{path}: no dataset reads {suffix or 'such'} files. {_supported()}."
    if suffix in _PANDAS_READERS:
        return f"{text} Convert a table with pandas: pandas.{_PANDAS_READERS[suffix]}(FILE).to_parquet(FILE)"
    return text


def _supported() -> str:
    suffixes = " or ".join(suffix for _, _, suffix in _file_formats())
    folders = " or ".join(form.what for _, form in _formats() if isinstance(form, FolderFormat))
    return f"Supported: {suffixes} files, folders of them with one file for each experience, and folders with {folders}"

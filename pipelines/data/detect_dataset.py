"""Which built-in dataset reads the data at a path, and with which options: for `everlearn init`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.location import Location
from pipelines.data.detect_columns import npz_columns, parquet_columns

FORMATS = {"npz": ".npz", "parquet": ".parquet"}
_SUPPORTED = (
    "Supported: .npz or .parquet files, folders of them with one file for each experience, "
    "and folders with the IDX files of MNIST or Fashion-MNIST"
)
_TABLES = (".csv", ".tsv", ".json", ".jsonl", ".xlsx", ".feather", ".arrow")


@dataclass
class Detected:
    """A dataset for a pipeline file.

    Attributes:
        name: name of the dataset.
        options: as in a pipeline file.
        notes: what was found and what was chosen, a sentence each.
    """

    name: str
    options: dict[str, Any]
    notes: list[str] = field(default_factory=list)


def detect_dataset(path: str, label: str | None = None) -> Detected:
    """The dataset for the data at `path`.

    Args:
        path: a file or a folder, on this machine or s3://.
        label: the column or array of the labels; None: chosen by its name or its values.

    Raises:
        DataError: there is no data, or no built-in dataset reads it; the message says what is supported.
    """
    where = Location.of(path)
    if not where.is_folder():
        for name, suffix in FORMATS.items():
            if path.lower().endswith(suffix):
                found = _columns(name, [where], label)
                found.options = {"path": path, **found.options}
                return found
        raise DataError(_unsupported(path))
    for name, suffix in FORMATS.items():
        files, tests, chosen = _files(where, path, suffix)
        if files:
            found = _columns(name, files + tests, label)
            found.options = chosen | found.options
            found.notes.insert(0, _folder_note(files, tests, name))
            return found
    return _idx_folder(path)


def _columns(name: str, files: Sequence[Location], label: str | None) -> Detected:
    options, notes = (npz_columns if name == "npz" else parquet_columns)(files, label)
    return Detected(name, options, notes)


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


def _idx_folder(path: str) -> Detected:
    from pipelines.data.datasets.fashion_mnist import FASHION_MNIST
    from pipelines.data.datasets.mnist import MNIST

    folder, problems = Path(path).expanduser(), list[str]()
    for dataset in (MNIST, FASHION_MNIST):
        first = dataset.files[0].name
        if not any((folder / sub / (first + end)).is_file() for sub in dataset.folders for end in ("", ".gz")):
            continue
        try:
            dataset.load(path)
        except DataError as error:
            problems += error.problems
        else:
            return Detected(dataset.name, {"folder": path}, [f"The IDX files of {dataset.name}, verified by SHA-256"])
    if problems:
        raise DataError(
            f"{path}: has IDX files, but not all four of the original MNIST or Fashion-MNIST: {problems[0]}; "
            "save other images with numpy.savez(FILE, x_train=..., y_train=..., x_test=..., y_test=...)"
        )
    raise DataError(_unsupported(path))


def _unsupported(path: str) -> str:
    suffix = Path(path).suffix.lower()
    folder = Path(path)
    if not suffix and folder.is_dir():
        inside = sorted({file.suffix.lower() for file in folder.iterdir() if file.suffix})
        suffix = next((one for one in inside if one in _TABLES), "")
        what = f"it has {', '.join(inside[:5])} files" if inside else "it has no files"
        text = f"{path}: this folder has no data that a built-in dataset reads ({what}). {_SUPPORTED}."
    else:
        text = f"{path}: no built-in dataset reads {suffix or 'such'} files. {_SUPPORTED}."
    if suffix in _TABLES:
        reader = {".csv": "read_csv", ".tsv": "read_table", ".xlsx": "read_excel"}.get(suffix, f"read_{suffix[1:]}")
        if suffix == ".jsonl":
            reader = "read_json"
        return f"{text} Convert a table with pandas: pandas.{reader}(FILE).to_parquet(FILE)"
    return text

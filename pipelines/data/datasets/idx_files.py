"""The four IDX files of an MNIST-like dataset: from a folder, else the cache, else the official mirrors."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.dataset import Dataset, from_tensors
from pipelines.data.datasets.idx_format import decompress, parse
from pipelines.data.datasets.init_formats import Found

Padding = Annotated[int, Field(ge=0, le=100)]
"""Pixels of zeros on each side of an image."""

_TIMEOUT_SECONDS = 15
_LARGEST_DOWNLOAD = 64 * 2**20


@dataclass(frozen=True)
class IdxFile:
    """One file, by the SHA-256 of its uncompressed content (the gzip wrapper differs between mirrors).

    Attributes:
        name: without .gz.
        size: bytes, uncompressed.
    """

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class IdxDataset:
    """An MNIST-like dataset.

    Attributes:
        name: its name, and that of its folder in the cache.
        folders: subfolders of a data folder where the files may be.
        files: training images, training labels, test images, test labels.
        mirrors: addresses to which a file's name and .gz are appended.
    """

    name: str
    folders: Sequence[str]
    files: tuple[IdxFile, IdxFile, IdxFile, IdxFile]
    mirrors: Sequence[str]

    def load(self, folder: str | None, padding: int = 0) -> Dataset:
        """The dataset: inputs uint8 (1, height, width), 10 classes.

        Args:
            folder: where the files are; else the folder that EVERLEARN_DATA names, the cache and the mirrors are tried.
            padding: rows and columns of zeros around each image.

        Raises:
            DataError: a file is not found, or is not the right one.
        """
        contents = [self._content(file, folder) for file in self.files]
        arrays = [parse(content, file.name) for file, content in zip(self.files, contents, strict=True)]
        around = ((0, 0), (padding, padding), (padding, padding))
        train, test = (
            ((np.pad(images, around) if padding else images)[:, None], labels.astype(np.int64))
            for images, labels in (arrays[:2], arrays[2:])
        )
        return from_tensors(self.name, train, test, classes=10)

    def found_in(self, folder: str) -> Found | None:
        """The options for a folder with these files; None where it has no IDX files of these names.

        Raises:
            DataError: it has IDX files, but not those of this dataset.
        """
        first, where = self.files[0].name, Path(folder).expanduser()
        if not any((where / sub / (first + end)).is_file() for sub in self.folders for end in ("", ".gz")):
            return None
        try:
            self.load(folder)
        except DataError as error:
            raise DataError(
                f"{folder}: has IDX files, but not all four of the original MNIST or Fashion-MNIST: "
                f"{error.problems[0]}; "
                "save other images with numpy.savez(FILE, x_train=..., y_train=..., x_test=..., y_test=...)"
            ) from error
        return {"folder": folder}, [f"The IDX files of {self.name}, verified by SHA-256"]

    def _content(self, file: IdxFile, folder: str | None) -> bytes:
        problems: list[str] = []
        for path in self._places(file, folder):
            if not path.is_file():
                continue
            try:
                return verified(path.read_bytes(), file, str(path))
            except OSError as error:
                problems.append(f"{path}: cannot be read: {error.strerror}")
            except DataError as error:
                problems += error.problems
        if folder is not None:
            missing = f"{self.name}: there is no {file.name} (or .gz) in {folder}"
            raise DataError(problems or [missing, f"  Put the four files there: {self._names()}"])
        return self._download(file, problems)

    def _places(self, file: IdxFile, folder: str | None) -> Iterator[Path]:
        data = folder if folder is not None else os.environ.get("EVERLEARN_DATA") or None
        folders = [Path(data).expanduser() / name for name in self.folders] if data else []
        if folder is None:
            folders.append(self._cache())
        return (place / (file.name + ending) for place in folders for ending in (".gz", ""))

    def _cache(self) -> Path:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "everlearn" / self.name

    def _download(self, file: IdxFile, problems: list[str]) -> bytes:
        reasons: list[str] = []
        for mirror in self.mirrors:
            address = f"{mirror}{file.name}.gz"
            try:
                with urllib.request.urlopen(address, timeout=_TIMEOUT_SECONDS) as response:
                    data: bytes = response.read(_LARGEST_DOWNLOAD)
                content = verified(data, file, address)
            except (OSError, HTTPException) as error:
                reasons.append(str(getattr(error, "reason", None) or error))
            except DataError as error:
                problems += error.problems
            else:
                self._keep(file, data)
                return content
        place = os.environ.get("EVERLEARN_DATA") or str(self._cache())
        why = f" ({'; '.join(dict.fromkeys(reasons))})" if reasons else ""
        raise DataError(
            [
                *problems,
                f"{self.name}: {file.name}.gz is not on this machine and could not be downloaded{why}",
                f"  Put the four files into {place}, or name their folder with the dataset's option `folder` or in "
                f"EVERLEARN_DATA: {self._names()}",
            ]
        )

    def _names(self) -> str:
        return ", ".join(f"{file.name}.gz" for file in self.files)

    def _keep(self, file: IdxFile, data: bytes) -> None:
        """Puts a download into the cache, atomically. A cache that cannot be written is not used."""
        target = self._cache() / f"{file.name}.gz"
        part = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(data)
            part.replace(target)
        except OSError:
            with suppress(OSError):
                part.unlink()


def verified(data: bytes, file: IdxFile, where: str) -> bytes:
    """The uncompressed content of a file.

    Raises:
        DataError: it is not the content that `file` describes.
    """
    content = decompress(data, file.size, where)
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise DataError(f"{where}: is not the original {file.name}: its SHA-256 differs; fetch it again")
    return content

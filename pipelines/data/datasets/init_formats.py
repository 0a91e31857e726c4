"""What a dataset declares so that `everlearn init` recognises its data.

A dataset's module, built in or of a plug-in, names its declaration `INIT_FORMAT`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.data.datasets.location import Location

Found = tuple[dict[str, Any], list[str]]
"""Options of a dataset, and notes about them for a person, a sentence each."""


@dataclass(frozen=True)
class FileFormat:
    """Files that the dataset reads by its options `path` and `test`.

    Attributes:
        suffixes: of the files, in lower case, with the dot.
        options: from files of the same columns, and the label that a person named or None, to the options that say
            where inputs, labels and ids are. It raises DataError where that is not clear.
        table: whether the inputs are columns of numbers, which may differ in size.
    """

    suffixes: tuple[str, ...]
    options: Callable[[Sequence[Location], str | None], Found]
    table: bool = False


@dataclass(frozen=True)
class FolderFormat:
    """A folder with files of fixed names.

    Attributes:
        what: what the folder holds, for the message that lists what is supported.
        options: from the path of a folder to the options, or None where the folder has no such files. It raises
            DataError where the files are there, but damaged or incomplete.
    """

    what: str
    options: Callable[[str], Found | None]

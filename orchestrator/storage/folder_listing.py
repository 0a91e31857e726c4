"""The content of a folder of a store: keys, folders of keys, and files that the store did not write."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestrator.errors import StorageError
from orchestrator.storage.folder_errors import explained
from orchestrator.storage.object_keys import RESERVED, checked_key


def ours(root: Path, folder: Path) -> Sequence[tuple[str, bool]]:
    """The names in a folder that can have been written by the store at `root`, and whether each is a folder.

    Raises:
        StorageError: it cannot be listed.
    """
    entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in _found(root, folder, True)]
    # As if every folder ended in a slash: the byte order of whole keys, as S3 lists them.
    return sorted(entries, key=lambda entry: os.fsencode(f"{entry[0]}/" if entry[1] else entry[0]))


def foreign(root: Path, folder: Path) -> Iterator[Path]:
    """Everything below a folder that cannot: other names, links that lead out of the store, pipes and the like."""
    for entry in sorted(_found(root, folder, False), key=lambda entry: os.fsencode(entry.name)):
        yield Path(entry.path)
    for name, is_folder in ours(root, folder):
        if is_folder:
            yield from foreign(root, folder / name)


def _found(root: Path, folder: Path, wanted: bool) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return [e for e in found if not e.name.startswith(RESERVED) and _is_ours(root, e) == wanted]
    except FileNotFoundError:
        return []
    except OSError as error:
        if isinstance(error, NotADirectoryError) and (root.is_dir() or not root.exists()):
            return []
        raise explained("list", folder, error) from None


def _is_ours(root: Path, entry: os.DirEntry[str]) -> bool:
    try:
        checked_key(entry.name)
        if entry.is_symlink():
            return entry.is_file() and Path(entry.path).resolve().is_relative_to(root)
        return entry.is_dir() or entry.is_file()
    except (OSError, RuntimeError, StorageError):
        return False

"""The hashes of all blocks of a stream, computed together: one experience has few files, and each time is saved."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pipelines.data.blocks.block_samples import BlockSamples

if TYPE_CHECKING:
    from pipelines.data.blocks.block_index import BlockIndex, IndexedFile
    from pipelines.data.stream_experience import StreamExperience


def hash_blocks(stream: Iterable[StreamExperience]) -> None:
    """Hash what has no hashes yet of the blocks of a stream, for `fingerprint` to find them.

    Raises:
        DataError: a file cannot be read, or has changed since the index was made.
    """
    files: dict[BlockIndex, dict[str, IndexedFile]] = {}
    for experience in stream:
        for samples in (experience.train, experience.test):
            if isinstance(samples, BlockSamples) and samples.indexed is not None:
                index, some = samples.indexed
                files.setdefault(index, {}).update((file.location.path, file) for file in some)
    for index, found in files.items():
        index.hashed(list(found.values()))

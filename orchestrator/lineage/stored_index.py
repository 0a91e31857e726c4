"""The index of data that is read by blocks, beside a pipeline's lineage: what is known of files is not read again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.errors import MissingKey
from orchestrator.lineage import layout

if TYPE_CHECKING:
    from orchestrator.storage.store import Store
    from pipelines.data.blocks.index_executor import Executor


@dataclass(frozen=True)
class StoredIndex:
    """A `pipelines.data.blocks.block_index.IndexStore`. A lost race costs another look at some files, and no more.

    Attributes:
        executor: looks at files that are new; None: this process does.
    """

    store: Store
    pipeline: str
    executor: Executor | None = field(default=None, compare=False)

    def load(self) -> bytes | None:
        """Raises StorageError."""
        try:
            return self.store.get(layout.index_key(self.pipeline))
        except MissingKey:
            return None

    def save(self, data: bytes) -> None:
        """Raises StorageError."""
        self.store.put(layout.index_key(self.pipeline), data)

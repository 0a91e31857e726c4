"""Keeping `gc`, `forget` and `copy` away from pipelines whose trials are running."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from orchestrator.lineage.claim import claimed
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.open_by_uri import open_store

if TYPE_CHECKING:
    from orchestrator.lineage.fencing import Fence
    from pipelines.config.schema import Pipeline


Fences = dict[tuple[str, str], "Fence"]
"""By storage and name of the pipeline."""


@contextmanager
def searching(pipelines: Iterable[Pipeline], warn: Callable[[str], None]) -> Iterator[Fences]:
    """Claim the pipelines for a search, for the time of the block: no ref reaches the commits of its trials.

    Returns:
        The fences of the claims, under which trials write.

    Raises:
        Claimed: gc, forget or copy is working on one of them.
        StorageError: the storage cannot be used.
    """
    with ExitStack() as claims:
        fences: Fences = {}
        for pipeline in pipelines:
            lineage = Lineage(open_store(pipeline.storage), pipeline.name)
            claim = claims.enter_context(claimed(lineage, "search", on_warning=warn))
            fences[pipeline.storage, pipeline.name] = claim.fence
        yield fences

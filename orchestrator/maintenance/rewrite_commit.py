"""Replacing a commit by one of the same id, for maintenance commands that hold the pipeline's claim."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.errors import StorageError
from orchestrator.lineage import layout
from orchestrator.lineage.commit import Commit
from orchestrator.lineage.past_outline import remove_outlines

if TYPE_CHECKING:
    from orchestrator.lineage.lineage import Lineage


def rewrite(lineage: Lineage, commit: str, change: Callable[[Commit], Commit]) -> Commit:
    """Read a commit, and write the commit that `change` returns, if it differs.

    A reader sees the old commit or the new one.

    Raises:
        ClaimLost: the claim under which this writes was taken over.
        StorageError: the commit cannot be read or written, or another process changed it meanwhile.
    """
    key = layout.commit_key(lineage.pipeline, commit)
    found = lineage.store.read_versioned(key)
    source = f"{lineage.store.uri}/{key}"
    if found is None:
        raise StorageError(f"{source}: it was deleted meanwhile. Run again")
    old = Commit.parse(found[0], expected=commit, source=source)
    new = change(old)
    if new == old:
        return old
    lineage.check_fence()
    remove_outlines(lineage)
    swapped = lineage.store.compare_and_swap(key, new.to_json(), found[1])
    if not swapped and lineage.read(commit) != new:
        raise StorageError(f"{source}: another process changed it meanwhile. Run again")
    return new

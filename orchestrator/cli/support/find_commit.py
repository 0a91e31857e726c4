"""Find a commit by the first characters of its id, or by a ref."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.storage.store import Store


def find_commit(store: Store, word: str, pipelines: Iterable[str] | None = None) -> tuple[Lineage, str]:
    """The lineage and the full id of the commit that `word` identifies.

    Args:
        word: the name of a ref, or at least the first four characters of an id.
        pipelines: the pipelines to search; None: all in the store.

    Raises:
        PipelineError: no commit matches, or several do.
        StorageError: the store cannot be read.
    """
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.progress.number_format import short
    from pipelines.config.pipeline_errors import PipelineError

    names = sorted(store.folders() if pipelines is None else pipelines)
    found: list[tuple[Lineage, str, str]] = []
    for name in names:
        lineage = Lineage(store, name)
        found += [(lineage, id_, name) for id_ in _candidates(lineage, word)]
    if len(found) == 1:
        return found[0][:2]
    if not found:
        where = f"pipeline {names[0]} in {store.uri}" if len(names) == 1 else store.uri
        raise PipelineError(
            [
                f"no commit '{word}' in {where}",
                "Give the first characters of an id (everlearn log FILE shows them) or a ref such as latest; "
                "FILE or --storage choose the store.",
            ]
        )
    several = ", ".join(f"{short(id_)} ({name})" for _, id_, name in found[:5])
    raise PipelineError([f"'{word}' matches {len(found)} commits: {several}", "Give more characters, or the FILE."])


def _candidates(lineage: Lineage, word: str) -> list[str]:
    ids = lineage.find(word)
    ref = None if ids else lineage.refs().get(word)
    return [ref.commit] if ref is not None else ids

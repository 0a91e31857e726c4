"""The weights of a commit, for a model of another pipeline that starts from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from orchestrator.lineage.lineage import Lineage


def commit_called(lineage: Lineage, word: str) -> str:
    """The id of the commit that a ref, or the first characters of an id, names.

    Raises:
        PipelineError: there is none, or several.
        StorageError: the store cannot be read.
    """
    from pipelines.config.pipeline_errors import PipelineError

    ref = lineage.refs().get(word)
    found = [ref.commit] if ref else lineage.find(word)
    if len(found) != 1:
        problem = "no commit or ref" if not found else f"{len(found)} commits"
        raise PipelineError(f"{lineage.store.uri}: {problem} of pipeline {lineage.pipeline} called {word!r}")
    return found[0]


def commit_weights(storage: str, pipeline: str, word: str) -> tuple[str, Callable[[], Mapping[str, Tensor]]]:
    """The id of a commit, and what gives the tensors of its model by name.

    Raises:
        PipelineError: no such commit.
        StorageError: it is damaged.
    """
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.storage.open_by_uri import open_store

    lineage = Lineage(open_store(storage), pipeline)
    id_ = commit_called(lineage, word)

    def read() -> Mapping[str, Tensor]:
        from strategies.networks.frozen_parts import join_model, model_groups

        commit = lineage.read(id_)
        commit.require_state()
        groups = ["model", *model_groups(commit.blobs)]
        return join_model({g: lineage.tensors(commit.blobs[g].sha256, commit=id_) for g in groups})

    return id_, read

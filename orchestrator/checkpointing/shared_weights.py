"""Models of several commits that share in memory what their commits share: a frozen base, and adapters of the past.

A commit stores such parts as blobs of their own, by content hash. Here a blob is read once while a model that uses it
is alive, and all models have the same tensors: another commit of the same base costs its own adapter and head.
"""

from __future__ import annotations

import copy
import threading
import weakref
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from orchestrator.lineage.commit import Commit
    from orchestrator.prediction.predicting import Predicting
    from pipelines.config.schema import Pipeline


class _Part(dict[str, "Tensor"]):
    """The tensors of a blob, by name; unlike a dict, it can be referred to weakly."""


class SharedWeights:
    """Loads the models of a pipeline's commits, in evaluation mode. Safe to use from several threads.

    Attributes:
        reads: how many blobs of parts were read.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        from orchestrator.lineage.lineage import Lineage
        from orchestrator.storage.open_by_uri import open_store

        self._pipeline = pipeline
        self._lineage = Lineage(open_store(pipeline.storage), pipeline.name)
        self._parts: weakref.WeakValueDictionary[str, _Part] = weakref.WeakValueDictionary()
        self._models: weakref.WeakValueDictionary[str, Predicting] = weakref.WeakValueDictionary()
        self._bare: tuple[object, nn.Module] | None = None
        self._lock = threading.Lock()
        self.reads = 0

    def load(self, id_: str) -> Predicting:
        """The model of a commit, as `load_model` gives it. No tensor of it may be changed.

        Raises:
            StorageError: there is no such commit, or it is damaged.
        """
        from orchestrator.checkpointing.load_model import load_commit, load_model
        from strategies.networks.frozen_parts import model_groups

        with self._lock:
            known = self._models.get(id_)
            if known is not None:
                return known
            commit = self._lineage.read(id_)
            groups = model_groups(commit.blobs)
            if not groups:
                return load_model(self._pipeline, id_)
            parts = [self._part(commit.blobs[group].sha256, commit) for group in groups]
            made = load_commit(self._pipeline, self._lineage, commit, self._skeleton(commit), parts)
            # The model keeps its parts alive, and with the last such model they go.
            object.__setattr__(made, "_shared_parts", parts)
            self._models[id_] = made
            return made

    def _part(self, sha256: str, commit: Commit) -> _Part:
        found = self._parts.get(sha256)
        if found is None:
            found = _Part(self._lineage.tensors(sha256, commit=commit.id))
            self.reads += 1
            self._parts[sha256] = found
        return found

    def _skeleton(self, commit: Commit) -> nn.Module:
        """The model before any strategy, without memory for its parameters: they all come from the commit."""
        from orchestrator.checkpointing.load_model import bare_model

        key = (commit.spec.get("input_shape"), commit.spec.get("outputs"), commit.blobs.get("description"))
        if self._bare is None or self._bare[0] != key:
            model = bare_model(self._pipeline, self._lineage, commit)
            for module in model.modules():
                for name, parameter in module.named_parameters(recurse=False):
                    empty = nn.Parameter(torch.empty_like(parameter, device="meta"), parameter.requires_grad)
                    module._parameters[name] = empty
            self._bare = (key, model)
        return copy.deepcopy(self._bare[1])


def shared_bytes(models: list[nn.Module]) -> tuple[int, int]:
    """Bytes of the models' parameters and buffers in memory, and what they would be if nothing were shared."""
    once: dict[int, int] = {}
    total = 0
    for model in models:
        for tensor in (*model.parameters(), *model.buffers()):
            storage = tensor.untyped_storage()
            once[storage.data_ptr()] = storage.nbytes()
            total += storage.nbytes()
    return sum(once.values()), total

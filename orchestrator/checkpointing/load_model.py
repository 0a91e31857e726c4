"""The model that a commit records, as a torch module again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

    from orchestrator.lineage.commit import Commit
    from orchestrator.lineage.lineage import Lineage
    from pipelines.config.schema import Pipeline
    from pipelines.data.streams import Stream


def load_model(pipeline: Pipeline, commit: str = "latest") -> nn.Module:
    """The trained model of a commit, in evaluation mode on the CPU.

    Args:
        commit: an id, the beginning of one, or a ref.

    Raises:
        PipelineError: the pipeline's data, which say how large the model is, cannot be read.
        StorageError: no such commit, or it is damaged.
    """
    from orchestrator.errors import StorageError
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.storage.store import open_store
    from pipelines.data.streams import build_stream

    lineage = Lineage(open_store(pipeline.storage), pipeline.name)
    ref = lineage.refs().get(commit)
    found = [ref.commit] if ref else lineage.find(commit)
    if len(found) != 1:
        problem = "no commit or ref" if not found else f"{len(found)} commits"
        raise StorageError(f"{lineage.store.uri}: {problem} of pipeline {pipeline.name} called {commit!r}")
    stream = build_stream(pipeline.stream, pipeline.seed)
    return _model(pipeline, stream, lineage, lineage.read(found[0]))


def example_and_model(pipeline: Pipeline, stream: Stream, lineage: Lineage, commit: Commit) -> tuple[nn.Module, Tensor]:
    """The model of a commit, and a few inputs as it takes them, (m, *shape)."""
    import torch

    from strategies.loop.input_scaling import prepared

    test = stream[0].test
    inputs, _ = test.take(torch.arange(min(2, len(test))))
    return _model(pipeline, stream, lineage, commit), prepared(inputs)


def _model(pipeline: Pipeline, stream: Stream, lineage: Lineage, commit: Commit) -> nn.Module:
    from orchestrator.checkpointing.restore import fitting
    from pipelines.build import make_model, strategy_class
    from strategies.networks.frozen_parts import join_model, model_groups

    commit.require_state()
    model = make_model(pipeline, stream)
    with fitting(f"commit {commit.id[:12]}"):
        groups = ["model", *model_groups(commit.blobs)]
        state = join_model({g: lineage.tensors(commit.blobs[g].sha256, commit=commit.id) for g in groups})
        for spec in pipeline.strategy_at(commit.experience.index):
            model = strategy_class(spec.name)(spec.options).restructure(model, state)
        model.load_state_dict(state)
    return model.eval()

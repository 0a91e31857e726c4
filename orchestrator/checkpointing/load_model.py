"""The model of a commit as a torch module. A commit records the model's size, so that no data is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

    from orchestrator.lineage.commit import Commit
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.prediction.predicting import Manner, Predicting
    from pipelines.config.schema import Pipeline
    from pipelines.data.streams import Stream
    from strategies.objectives.objective import Objective

OBJECTIVE = "objective"
"""Group of tensors that an objective keeps with the model (`Learner.state_dict`)."""


def load_model(pipeline: Pipeline, commit: str = "latest") -> Predicting:
    """The trained model of a commit, in evaluation mode on the CPU. The training data is not needed.

    Its outputs are logits, or with `objective: regression` in the unit of the targets. It is a module of the model's
    own class, called with tensors as the model takes them, and has a method `predict` for tables and tensors, which
    answers with class names and probabilities, or with values (`orchestrator.prediction.predicting`).

    Args:
        commit: an id, the beginning of one, or a ref.

    Raises:
        PipelineError: no such commit.
        StorageError: it is damaged.
    """
    from orchestrator.checkpointing.commit_weights import commit_called
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.storage.open_by_uri import open_store

    lineage = Lineage(open_store(pipeline.storage), pipeline.name)
    record = lineage.read(commit_called(lineage, commit))
    from orchestrator.prediction.predicting import with_predict

    return with_predict(_model(pipeline, lineage, record), _manner(pipeline, lineage, record))


def example_and_model(
    pipeline: Pipeline, stream: Stream | None, lineage: Lineage, commit: Commit
) -> tuple[nn.Module, Tensor]:
    """The model of a commit, and a few inputs as it takes them, (m, *shape).

    Args:
        stream: None: the inputs are zeros, which do for a model that takes tables.
    """
    return model_and_inputs(pipeline, None if stream is None else first_inputs(stream), lineage, commit)


def first_inputs(stream: Stream) -> Tensor:
    """Two inputs of a stream's first test set, as they are stored."""
    import torch

    test = stream[0].test
    inputs: Tensor = test.take(torch.arange(min(2, len(test))))[0]
    return inputs


def model_and_inputs(
    pipeline: Pipeline, inputs: Tensor | None, lineage: Lineage, commit: Commit
) -> tuple[nn.Module, Tensor]:
    """As `example_and_model`, of inputs as they are stored."""
    import torch

    from orchestrator.prediction.predicting import with_predict
    from strategies.loop.input_scaling import input_dtype, prepared

    model, use = _model(pipeline, lineage, commit), _manner(pipeline, lineage, commit)
    if use.inputs.preprocessing is not None and use.refused is None:
        # Exported, it takes tables, too.
        model = with_predict(model, use)
    if inputs is None:
        return model, torch.zeros(2, *use.inputs.shape)
    return model, prepared(inputs, input_dtype(model))


def model_maker(
    pipeline: Pipeline, stream: Stream | None, lineage: Lineage
) -> Callable[[str], Callable[[], tuple[nn.Module, Tensor]] | None]:
    """Gives, for the id of a commit, a function as `example_and_model`; None where its model cannot be made.

    Args:
        stream: None: only models that take tables can be made, and that need no code of a person's own.
    """
    from orchestrator.checkpointing.model_description import read_description

    own = {*pipeline.own_code()} - {pipeline.stream.dataset.name}

    def of(id_: str) -> Callable[[], tuple[nn.Module, Tensor]] | None:
        commit = lineage.read_if_there(id_)
        if commit is None or commit.thinned:
            return None
        if stream is None and (own or read_description(lineage, commit).preprocessing is None):
            return None
        return partial(example_and_model, pipeline, stream, lineage, commit)

    return of


def load_commit(
    pipeline: Pipeline,
    lineage: Lineage,
    commit: Commit,
    bare: nn.Module,
    parts: Sequence[Mapping[str, Tensor]],
) -> Predicting:
    """As `load_model`, of parts that are there: `orchestrator.checkpointing.shared_weights`.

    Args:
        bare: of `bare_model`, for this model alone; its parameters may be on the meta device.
        parts: the tensors of the model's parts, which become those of the model.
    """
    from orchestrator.prediction.predicting import with_predict

    return with_predict(_model(pipeline, lineage, commit, bare, parts), _manner(pipeline, lineage, commit))


def bare_model(pipeline: Pipeline, lineage: Lineage, commit: Commit) -> nn.Module:
    """The model before any strategy, with the weights that it begins with.

    Raises:
        CorruptBlob: the commit does not say how large it is.
    """
    from orchestrator.checkpointing.model_description import read_description
    from orchestrator.checkpointing.restore import fitting
    from pipelines.build import freeze_parameters
    from pipelines.models.build_model import build_model

    layout = read_description(lineage, commit).layout
    with fitting(f"commit {commit.id[:12]}"):
        shape, outputs = _size(commit)
        name, options = pipeline.model.name, pipeline.model.options
        model = build_model(name, options, shape, outputs, seed=pipeline.seed, layout=layout)
        freeze_parameters(pipeline, model)
    return model


def _model(
    pipeline: Pipeline,
    lineage: Lineage,
    commit: Commit,
    bare: nn.Module | None = None,
    parts: Sequence[Mapping[str, Tensor]] | None = None,
) -> nn.Module:
    from orchestrator.checkpointing.restore import fitting
    from pipelines.build import make_strategy
    from strategies.networks.frozen_parts import join_model, model_groups

    commit.require_state()
    model = bare_model(pipeline, lineage, commit) if bare is None else bare
    with fitting(f"commit {commit.id[:12]}"):
        groups = model_groups(commit.blobs)
        if parts is None:
            parts = [lineage.tensors(commit.blobs[group].sha256, commit=commit.id) for group in groups]
        own = lineage.tensors(commit.blobs["model"].sha256, commit=commit.id)
        state = join_model({"model": own, **dict(zip(groups, parts, strict=True))})
        for spec in pipeline.strategy_at(commit.experience.index):
            model = make_strategy(spec.name, spec.options).restructure(model, state)
        model.load_state_dict(state, assign=bare is not None)
        if OBJECTIVE in commit.blobs:
            model = _in_unit(pipeline, model, lineage.tensors(commit.blobs[OBJECTIVE].sha256, commit=commit.id))
    return model.eval()


def _in_unit(pipeline: Pipeline, model: nn.Module, kept: Mapping[str, Tensor]) -> nn.Module:
    from pipelines.config.components import resolve

    kind: type[Objective] = resolve("objectives", pipeline.objective.name)
    objective = kind(pipeline.objective.declared_options)
    objective.load_state_dict(kept)
    return objective.in_unit(model)


def _manner(pipeline: Pipeline, lineage: Lineage, commit: Commit) -> Manner:
    """How the model of a commit is used."""
    from orchestrator.checkpointing.model_description import read_description
    from orchestrator.prediction.document_scores import document_reader
    from orchestrator.prediction.predicting import Manner
    from orchestrator.prediction.predictions import answers_of, tokens
    from pipelines.data.model_inputs import ModelInputs

    shape, outputs = _size(commit)
    description = read_description(lineage, commit)
    names = description.unit_names or tuple(map(str, range(outputs)))
    options = pipeline.stream.dataset.options
    inputs = ModelInputs.of_dataset(shape, description.preprocessing, options, description.images)
    answers = answers_of(commit)
    documents = document_reader(options, shape[0]) if answers is tokens else None
    return Manner(inputs, names, answers, _refused(pipeline), documents)


def _refused(pipeline: Pipeline) -> str | None:
    """Why the model alone does not predict what the pipeline's strategies predict."""
    from pipelines.build import strategy_class
    from strategies.api.strategy import Strategy

    for spec in pipeline.strategy:
        strategy = strategy_class(spec.name)
        if strategy.predict is not Strategy.predict and not strategy.predicts_logits:
            return (
                f"strategy {spec.name} predicts with state that it keeps beside the model, and predict uses the model "
                "alone: model(inputs) gives the network's own output"
            )
    return None


def _size(commit: Commit) -> tuple[tuple[int, ...], int]:
    """The shape of an input, and the number of outputs, as the commit's settings record them.

    Raises:
        ValueError: they do not.
    """
    shape, outputs = commit.spec.get("input_shape"), commit.spec.get("outputs")
    whole = isinstance(shape, list) and all(type(n) is int and n > 0 for n in shape)
    if not whole or not isinstance(shape, list) or type(outputs) is not int or outputs < 1:
        raise ValueError("its settings do not say how large the model is")
    return tuple(int(str(n)) for n in shape), outputs

"""Builds what a pipeline file describes: the model, the strategies, the learner, the settings of an experience."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipelines.config.components import resolve
from pipelines.config.named_scores import scores_for
from pipelines.config.pipeline_errors import PipelineError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pipelines.config.schema import Pipeline
    from pipelines.data.blocks.block_index import IndexStore
    from pipelines.data.streams import Stream
    from strategies.api.strategy import Strategy
    from strategies.loop.learner import Learner
    from strategies.loop.process_group import Group
    from strategies.loop.train_settings import TrainSettings
    from strategies.objectives.objective import Objective


def make_stream(pipeline: Pipeline, index: IndexStore | None = None) -> Stream:
    """The experiences, with targets as the objective learns them, and the capabilities. Raises as `build_stream`.

    Args:
        index: keeps the index of data that is read by blocks; None: it is made anew.
    """
    from pipelines.capabilities.read_capabilities import with_capabilities
    from pipelines.data.streams import build_stream

    objective: Any = resolve("objectives", pipeline.objective.name)
    return with_capabilities(pipeline, build_stream(pipeline.stream, pipeline.seed, objective.targets, index))


def make_model(pipeline: Pipeline, stream: Stream) -> nn.Module:
    """The model before its first experience: the same for the same file, on every machine and rank.

    It starts from `model.weights` where there are any, and what `train.freeze` names requires no gradient.

    Raises:
        PipelineError: as `build_model`, or weights or patterns that do not fit.
    """
    from pipelines.models.build_model import build_model
    from pipelines.models.trained_weights import put_into, trained_weights

    model = build_model(
        pipeline.model.name,
        pipeline.model.options,
        stream.input_shape,
        stream.outputs,
        seed=pipeline.seed,
        layout=stream.layout,
    )
    weights, spec = trained_weights(pipeline), pipeline.model.trained_weights
    if weights is not None and spec is not None:
        put_into(model, weights, spec)
    freeze_parameters(pipeline, model)
    return model


def freeze_parameters(pipeline: Pipeline, model: nn.Module) -> frozenset[str]:
    """Freeze what `train.freeze` names, and return the names. Where no strategy trains anything, all stays as it is.

    Raises:
        PipelineError: a pattern that matches nothing, or nothing left to train.
    """
    from pipelines.models.freeze import freeze, frozen_parameters

    names = frozen_parameters(model, pipeline.train.freeze) if pipeline.train.freeze else frozenset()
    strategies = [strategy_class(spec.name) for spec in pipeline.strategy]
    if not any(strategy.trains_nothing for strategy in strategies):
        freeze(model, names, replaced=any(strategy.adapts_model for strategy in strategies))
    return names


def make_strategies(pipeline: Pipeline) -> list[Strategy]:
    """The strategies in the order of the file, with their options of experience 0."""
    return [make_strategy(spec.name, spec.options) for spec in pipeline.strategy_at(0)]


def make_strategy(name: str, options: Any) -> Strategy:
    """A strategy with options, in the variant that they choose."""
    return strategy_class(name).variant(options)(options)


def make_objective(pipeline: Pipeline, outputs: int) -> Objective:
    """The objective with its options.

    Args:
        outputs: units of the model's head.

    Raises:
        PipelineError: its options do not fit the head, or an online stream.
    """
    found: Any = resolve("objectives", pipeline.objective.name)
    objective: Objective = found(pipeline.objective.declared_options)
    problem = objective.problem(outputs, online=pipeline.stream.online)
    if problem is not None:
        raise PipelineError(problem)
    return objective


def strategy_class(name: str) -> type[Strategy]:
    """The class of a strategy's name or import path."""
    found: Any = resolve("strategies", name)
    cls: type[Strategy] = found
    return cls


def make_learner(
    pipeline: Pipeline, stream: Stream, group: Group | None = None, device: torch.device | str = "cpu"
) -> Learner:
    """A learner before its first experience."""
    from pipelines.models.freeze import frozen_parameters, keep_statistics
    from pipelines.models.global_batch_norm import convert
    from strategies.loop.learner import Learner
    from strategies.loop.process_group import Group
    from strategies.loop.sharded_learner import ShardedLearner

    group = group or Group.current()
    model = make_model(pipeline, stream)
    if group.size > 1:
        convert(model)
    if pipeline.train.freeze:
        keep_statistics(model, frozen_parameters(model, pipeline.train.freeze))
    kind = ShardedLearner if pipeline.scaling.shard and group.size > 1 else Learner
    return kind(
        model,
        make_strategies(pipeline),
        outputs=stream.outputs,
        seed=pipeline.seed,
        group=group,
        online=pipeline.stream.online,
        device=device,
        channels_last=pipeline.scaling.channels_last,
        objective=make_objective(pipeline, stream.outputs),
        recorded=scores_for(pipeline, stream.unit_names),
    )


def configure(learner: Learner, pipeline: Pipeline, index: int) -> None:
    """Give the learner's strategies their options of experience `index`."""
    for strategy, spec in zip(learner.strategies, pipeline.strategy_at(index), strict=True):
        strategy.options = spec.options


def train_settings(pipeline: Pipeline, index: int) -> TrainSettings:
    """How experience `index` is trained."""
    from strategies.loop.train_settings import TrainSettings

    train = pipeline.train.at(index)
    return TrainSettings(
        epochs=train.epochs,
        steps=train.steps,
        batch_size=train.batch_size,
        optimizer=train.optimizer.name,
        optimizer_options=train.optimizer.options,
        reset=train.optimizer.reset,
        scheduler=train.scheduler.name if train.scheduler else None,
        scheduler_options=train.scheduler.options if train.scheduler else {},
        warmup=train.warmup,
        clip=train.clip,
        accumulate=train.accumulate,
        precision=train.precision,
        last_batch=train.last_batch,
        lanes=pipeline.stream.lanes,
        window=pipeline.stream.window,
    )

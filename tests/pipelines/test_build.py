"""From a pipeline file's words to the objects that learn."""

from __future__ import annotations

import pytest
import torch

from pipelines.build import configure, make_learner, make_model, make_strategies, strategy_class, train_settings
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.schema import Pipeline
from pipelines.data.streams import build_stream
from pipelines.models.global_batch_norm import GlobalBatchNorm
from strategies.loop.process_group import Group
from strategies.methods.ewc import EWC
from strategies.methods.replay import Replay
from strategies.objectives.classification import Classification


def pipeline(extra: str = "", model: str = "{name: mlp, hidden: [8]}", seed: int = 0) -> Pipeline:
    return load_text(
        f"name: p\nseed: {seed}\nstream: {{dataset: digits, setting: class-incremental, experiences: 5}}\n"
        f"model: {model}\nstrategy: [{{name: ewc, lambda: 7}}, {{name: replay, capacity: 9}}]\n{extra}"
    )


def weights(made: Pipeline) -> torch.Tensor:
    model = make_model(made, build_stream(made.stream, made.seed))
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_the_seed_of_the_file_decides_the_untrained_model() -> None:
    before = torch.get_rng_state()
    one, same, other = weights(pipeline()), weights(pipeline()), weights(pipeline(seed=1))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_strategies_come_in_the_order_of_the_file_with_their_options() -> None:
    ewc, replay = make_strategies(pipeline())
    assert isinstance(ewc, EWC) and isinstance(replay, Replay)
    assert (ewc.options.lambda_, replay.options.capacity) == (7, 9)
    assert strategy_class("replay") is Replay
    with pytest.raises(PipelineError):
        strategy_class("no-such-strategy")


def test_the_objective_has_the_options_of_the_file_and_suits_the_model() -> None:
    made = pipeline("objective: {name: classification, class_weights: balanced, label_smoothing: 0.1}\n")
    learner = make_learner(made, build_stream(made.stream, made.seed))
    objective = learner.objective
    assert isinstance(objective, Classification)
    assert (objective.options.class_weights, objective.options.label_smoothing) == ("balanced", 0.1)
    made = pipeline("objective: {name: classification, class_weights: [1, 2]}\n")
    with pytest.raises(PipelineError, match="class_weights: has 2 numbers, and the model 10 outputs"):
        make_learner(made, build_stream(made.stream, made.seed))


def test_an_objective_whose_options_a_strategy_would_ignore_is_refused() -> None:
    text = "name: p\nstream: {dataset: digits, experiences: 5}\nmodel: mlp\nstrategy: icarl\nobjective: "
    assert load_text(text + "classification").objective.name == "classification"
    with pytest.raises(PipelineError, match=r"icarl trains a loss of its own.*leave them out"):
        load_text(text + "{name: classification, focal: 1}")
    with pytest.raises(PipelineError, match="unknown objective 'clasification', did you mean 'classification'"):
        load_text(text + "clasification")


def test_options_that_change_on_the_way() -> None:
    made = pipeline("train: {epochs: 1, per_experience: {2: {strategy: {ewc: {lambda: 70}}, epochs: 3}}}\n")
    learner = make_learner(made, build_stream(made.stream, made.seed))
    found = []
    for index in range(4):
        configure(learner, made, index)
        ewc = learner.strategies[0]
        assert isinstance(ewc, EWC)
        found.append((ewc.options.lambda_, train_settings(made, index).epochs))
    assert found == [(7, 1), (7, 1), (70, 3), (7, 1)]


def test_how_an_experience_is_trained() -> None:
    text = (
        "train: {steps: 9, batch_size: 4, precision: bf16, clip: 0.5, warmup: 2, accumulate: 3, "
        "optimizer: {name: sgd, lr: 0.5, momentum: 0.9, reset: true}, scheduler: {name: StepLR, step_size: 3}}\n"
    )
    found = train_settings(pipeline(text), 0)
    assert (found.steps, found.batch_size, found.precision, found.clip, found.warmup) == (9, 4, "bf16", 0.5, 2)
    assert (found.optimizer, found.reset, found.scheduler, found.accumulate) == ("sgd", True, "StepLR", 3)
    assert found.optimizer_options["momentum"] == 0.9 and found.scheduler_options == {"step_size": 3}
    assert train_settings(pipeline(), 0).scheduler is None


def test_batch_normalisation_is_over_the_global_batch_where_there_are_ranks() -> None:
    made = pipeline(model="{name: resnet18-slim, filters: 4}")
    stream = build_stream(made.stream, made.seed)
    for size in (1, 2):
        learner = make_learner(made, stream, Group(0, size))
        normal = [m for m in learner.model.modules() if isinstance(m, GlobalBatchNorm)]
        assert bool(normal) == (size > 1)
    assert learner.seed == made.seed and learner.outputs == 10

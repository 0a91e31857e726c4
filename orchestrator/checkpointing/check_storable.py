"""Before training, in memory: what a commit will hold can be stored and loaded again, and is the same then.

A model and its strategies learn four samples, their state goes through the format of commits into others made from the
same file, and the two are compared. What fails is refused by name, before hours of training lead to a commit that
nothing can load.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from orchestrator.checkpointing.snapshot import copied_state
from orchestrator.storage.tensors import decode, encode
from pipelines.build import configure, make_learner, train_settings
from pipelines.config.pipeline_errors import PipelineError
from strategies.api.data import in_blocks
from strategies.loop.process_group import Group
from strategies.networks.frozen_parts import MODEL

if TYPE_CHECKING:
    from pipelines.config.schema import Pipeline
    from pipelines.data.streams import Stream
    from strategies.api.data import Experience
    from strategies.loop.learner import Learner

State = dict[str, dict[str, Tensor]]
FEW = 4


def check_storable(pipeline: Pipeline, stream: Stream, learner: Learner) -> None:
    """Refuse a model or a strategy whose state cannot be stored, or is not the same when it is loaded.

    Args:
        learner: as `make_learner` gives it, before the first experience; it stays as it is.

    Raises:
        PipelineError: names what cannot, and what to do.
    """
    _check_layers(learner.model)
    trial = make_learner(pipeline, stream, Group(), learner.device)
    _check_same_start(learner.model, trial.model)
    with torch.random.fork_rng(devices=[]):
        try:
            _learn_a_little(trial, pipeline, stream)
        except Exception:
            # Four samples may be too few for a method. An error that any number of samples gives, training reports.
            return
        example = trial.example(few(stream[0]).train)
        _check_round_trip(trial, make_learner(pipeline, stream, Group(), learner.device), pipeline, example)


def _check_layers(model: nn.Module) -> None:
    for name, value in model.state_dict().items():
        if not isinstance(value, Tensor):
            layer = name.rpartition(".")[0]
            owner, kind = type(model.get_submodule(layer)).__name__, type(value).__name__
            raise PipelineError(
                f"model: layer '{layer}' ({owner}) keeps a {kind} in its state (get_extra_state), and commits hold "
                "tensors only: return a tensor, or use register_buffer"
            )


def _check_same_start(one: nn.Module, other: nn.Module) -> None:
    first, second = one.state_dict(), other.state_dict()
    for name, value in first.items():
        if name not in second or not _equal(value, second[name].to(value.device)):
            raise PipelineError(
                f"model: '{name}' differs when the model is made twice with the same seed, so that no run can be "
                "repeated: draw its first weights from torch, numpy or random, without a generator of its own"
            )


def _learn_a_little(trial: Learner, pipeline: Pipeline, stream: Stream) -> None:
    settings = replace(
        train_settings(pipeline, 0), epochs=1, steps=None, batch_size=2, accumulate=1, warmup=0, scheduler=None
    )
    configure(trial, pipeline, 0)
    trial.learn(few(stream[0]), settings)


def _check_round_trip(trial: Learner, other: Learner, pipeline: Pipeline, example: Tensor) -> None:
    names = ", ".join(strategy.name for strategy in trial.strategies)
    changes = trial.model.state_dict().keys() != other.model.state_dict().keys()
    who = f"{names} with this model" if changes else "model"
    remedy = "Nothing was trained: use another model, such as one without parametrizations, or other strategies"
    configure(other, pipeline, 0)
    try:
        state: State = copied_state(trial)
        stored = {group: decode(encode(tensors)) for group, tensors in state.items() if tensors or group == MODEL}
        other.load_state_dict(stored, optimizer=train_settings(pipeline, 0).optimizer)
        found = other.state_dict()
    except Exception as error:
        text = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise PipelineError(f"{who}: what a commit would hold cannot be loaded again: {text}. {remedy}") from error
    for group, tensors in state.items():
        for name, tensor in tensors.items():
            if name not in found.get(group, {}) or not _equal(tensor, found[group][name].cpu()):
                raise PipelineError(f"{who}: '{name}' of {group} differs after it was loaded. {remedy}")
    if not _same_answers(trial.model, other.model, example):
        raise PipelineError(
            f"{who}: its outputs differ after it was loaded, so that something is missing from its state_dict(): "
            "use register_buffer for what the forward pass needs"
        )


@torch.no_grad()
def _same_answers(one: nn.Module, other: nn.Module, example: Tensor) -> bool:
    answers = []
    for model in (one, other):
        torch.default_generator.manual_seed(0)
        answers.append(model.eval()(example).float())
    return torch.allclose(answers[0], answers[1], rtol=1e-3, atol=1e-5, equal_nan=True)


def _equal(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if torch.equal(one, other):
        return True
    return one.is_floating_point() and torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)


@dataclass(frozen=True)
class _FewSamples:
    """Samples in memory (see `strategies.api.data.Samples`)."""

    inputs: Tensor
    targets: Tensor
    ids: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        return self.inputs[index], self.targets[index]

    def batches(self, indices: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        return map(self.take, indices)


@dataclass(frozen=True)
class _FewExperience:
    """An experience of a few samples (see `strategies.api.data.Experience`)."""

    index: int
    task: int
    classes: tuple[int, ...]
    outputs: tuple[int, ...] | None
    train: _FewSamples
    test: _FewSamples


def few(experience: Experience, count: int = FEW) -> _FewExperience:
    """An experience with the first samples of another's training set, at most `count`, for training and as test set."""
    train = experience.train
    first = torch.arange(min(count, len(train)))
    if in_blocks(train):
        some = _FewSamples(*train.take_with_ids(first))
    else:
        some = _FewSamples(*train.take(first), train.ids[first])
    return _FewExperience(experience.index, experience.task, experience.classes, experience.outputs, some, some)

"""What the laws are tested on: every registered strategy, and combinations of strategies with ways of training."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from strategies.api.strategy import Strategy
from strategies.api.strategy_errors import StrategyError
from strategies.loop.learner import Learner
from strategies.loop.process_group import Group
from strategies.loop.train_settings import TrainSettings
from strategies.memory.reservoir import Memory
from strategies.objectives.objective import Objective
from strategies.registry import BUILT_IN, OBJECTIVES
from tests.strategies.models import build
from tests.strategies.streams import SETTINGS, Step, column_stream, stream, token_stream

QUICK: dict[str, dict[str, Any]] = {
    "ewc": {"lambda": 50.0},
    "replay": {"capacity": 20},
    "si": {"c": 5.0},
    "mas": {"lambda": 0.5},
    "der": {"capacity": 20},
    "gem": {"capacity": 20},
    "agem": {"capacity": 20, "samples": 11},
    "gdumb": {"capacity": 23},
    "icarl": {"capacity": 20},
    "progressive": {"infer_task": True},
    "packnet": {"infer_task": True, "prune": 0.6},
    "generative-replay": {"hidden": (8,), "latent": 3, "lr": 0.02},
    "dann": {"capacity": 20, "hidden": (5,), "lr": 0.05},
    "lora": {"rank": 3},
    "o-lora": {"rank": 2},
    "kl-to-base": {"weight": 0.5},
    "experts": {"rank": 2, "top_k": 3},
    "adapter": {"size": 3},
    "prompt": {"length": 2},
}
"""Options of registered strategies, where their defaults show too little on a tiny stream or take too long."""

# 25 samples in batches of 12: the last batch of an epoch has one sample, fewer than the ranks that share it.
TRAIN: dict[str, Any] = {"epochs": 1, "batch_size": 12, "optimizer_options": {"lr": 0.04}}

BY_THREE: dict[str, Any] = {"epochs": None, "steps": 5, "batch_size": 3}
BY_SEVEN: dict[str, Any] = {"epochs": None, "steps": 5, "batch_size": 7}
DECAY: dict[str, Any] = {"optimizer": "sgd", "optimizer_options": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}}

SGD: dict[str, Any] = {"optimizer": "sgd", "optimizer_options": {"lr": 0.2, "momentum": 0.9}}


@dataclass(frozen=True, eq=False)
class Case:
    """One way to learn a stream.

    Attributes:
        name: of the test.
        strategies: names with options, as in a pipeline file.
        setting: of the stream.
        train: what differs from `TRAIN`.
        model: name in `tests.strategies.models`.
        online: whether the stream is an online one.
        changes: options of the first strategy that differ in an experience, by its index.
        objective: options of what is learned.
        learns: its name.
    """

    name: str
    strategies: Sequence[tuple[str, Mapping[str, Any]]]
    setting: str = "class-incremental"
    train: Mapping[str, Any] = field(default_factory=dict)
    model: str = "mlp"
    online: bool = False
    changes: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    objective: Mapping[str, Any] = field(default_factory=dict)
    learns: str = "classification"

    def __str__(self) -> str:
        return f"{self.name}-{self.setting.removesuffix('-incremental')}"

    @property
    def settings(self) -> TrainSettings:
        return TrainSettings(**{**TRAIN, **self.train})

    def stream(self) -> tuple[list[Step], int]:
        kind = make_objective(self.learns).targets
        if kind == "tokens":
            return token_stream()
        return stream(self.setting) if kind == "classes" else column_stream(self.setting, kind)

    def learner(self, outputs: int, group: Group | None = None) -> Learner:
        """A new learner, before the first experience."""
        strategies = [make_strategy(name, options) for name, options in self.strategies]
        return Learner(
            build(self.model, outputs),
            strategies,
            outputs=outputs,
            seed=3,
            group=group,
            online=self.online,
            objective=make_objective(self.learns, self.objective),
        )

    def configure(self, learner: Learner, index: int) -> None:
        """Give the first strategy its options of experience `index`."""
        if self.changes:
            name, options = self.strategies[0]
            learner.strategies[0].options = make_strategy(name, {**options, **self.changes.get(index, {})}).options


def make_strategy(name: str, options: Mapping[str, Any] | None = None) -> Strategy:
    """A registered strategy; `options` default to the quick ones."""
    module, _, attribute = BUILT_IN[name].partition(":")
    kind: type[Strategy] = getattr(importlib.import_module(module), attribute)
    given = kind.Options(**(QUICK.get(name, {}) if options is None else options))
    return kind.variant(given)(given)


def make_objective(name: str, options: Mapping[str, Any] | None = None) -> Objective:
    """A registered objective."""
    module, _, attribute = OBJECTIVES[name].partition(":")
    kind: type[Objective] = getattr(importlib.import_module(module), attribute)
    return kind(kind.Options(**(options or {})))


def _quick(*names: str) -> list[tuple[str, Mapping[str, Any]]]:
    return [(name, QUICK.get(name, {})) for name in names]


def _online(
    name: str, setting: str, *strategies: tuple[str, Mapping[str, Any]], train: Mapping[str, Any] | None = None
) -> Case:
    return Case(f"online-{name}", strategies, setting, {"batch_size": 6, **(train or {})}, online=True)


def _columns(setting: str, learns: str, *names: str, objective: Mapping[str, Any] | None = None, **more: Any) -> Case:
    strategies = [(name, {**QUICK.get(name, {}), **more}) for name in names]
    label = "-".join([learns, *names])
    return Case(label, strategies, setting, objective=objective or {}, learns=learns)


EVERY: dict[str, Any] = {"lambda": 50, "mode": "online", "gamma": 0.7, "every": 2}

REGISTERED = [Case(name, _quick(name), setting) for name in BUILT_IN for setting in SETTINGS]

COMBINED = [
    *(Case("ewc+replay", _quick("ewc", "replay"), setting) for setting in SETTINGS),
    Case("ewc+cumulative", _quick("ewc", "cumulative"), "task-incremental"),
    Case("cumulative+replay", _quick("cumulative", "replay"), "task-incremental"),
    Case("ewc-online", [("ewc", {"lambda": 50, "mode": "online", "gamma": 0.7})]),
    Case("ewc-empirical", [("ewc", {"lambda": 50, "estimate": "empirical", "samples": 11})], "task-incremental"),
    Case("replay-balanced", [("replay", {"capacity": 17, "policy": "class-balanced", "ratio": 0.3})]),
    Case("replay-experiences", [("replay", {"capacity": 20, "weighting": "experiences"})], "task-incremental"),
    Case("replay-one", [("replay", {"capacity": 1, "ratio": 0.05})]),
    Case("accumulate", _quick("ewc", "replay"), train={"accumulate": 3}),
    Case("clip", _quick("ewc", "replay"), train={"clip": 0.05}),
    Case("sgd-momentum", _quick("ewc", "replay"), train=SGD),
    Case("rmsprop", _quick("replay"), train={"optimizer": "rmsprop"}),
    Case("adagrad", _quick("replay"), train={"optimizer": "adagrad"}),
    Case("adamw-reset", _quick("replay"), train={"optimizer": "adamw", "reset": True}),
    Case("scheduler", _quick("ewc"), train={**SGD, "scheduler": "CosineAnnealingLR", "warmup": 3}),
    Case("one-cycle", _quick("replay"), train={"scheduler": "OneCycleLR", "scheduler_options": {"max_lr": 0.05}}),
    Case("steps", _quick("ewc", "replay"), train={"epochs": None, "steps": 7}),
    Case("batch-of-three", _quick("replay"), train={"epochs": None, "steps": 9, "batch_size": 3}),
    *(
        Case(f"{name}+replay", [(name, {}), ("replay", {"capacity": 20})], setting)
        for name, setting in (
            ("progressive", "domain-incremental"),
            ("packnet", "domain-incremental"),
            ("expand", "class-incremental"),
        )
    ),
    Case("packnet+replay-inferred", _quick("packnet", "replay"), train=DECAY),
    Case("progressive-conv", _quick("progressive"), "task-incremental", {**DECAY, "accumulate": 2}, "conv"),
    Case("packnet-batch-norm", _quick("packnet"), "task-incremental", {**DECAY, **BY_THREE, "clip": 0.5}, "batch-norm"),
    Case("expand-batch-norm", _quick("expand", "replay"), train={**BY_THREE, "reset": True}, model="batch-norm"),
    Case("lora+ewc+replay", _quick("lora", "ewc", "replay")),
    Case("lora+lwf", _quick("lora", "lwf"), "task-incremental"),
    Case("lora-each", [("lora", {"rank": 2, "per": "experience"})], "task-incremental"),
    *(
        Case(f"{name}-each+replay", [(name, {"per": "experience", "infer_task": True}), *_quick("replay")], train=DECAY)
        for name in ("lora", "adapter", "prompt")
    ),
    Case("lora-batch-norm", [("lora", {"per": "experience"})], "task-incremental", BY_THREE, "batch-norm"),
    Case("o-lora+replay", _quick("o-lora", "replay"), train={"accumulate": 2}),
    Case("experts-one", [("experts", {"rank": 2}), *_quick("replay")], "domain-incremental", DECAY),
    Case("lora+kl-to-base", _quick("lora", "kl-to-base"), "task-incremental"),
    Case("merge-ties", [("merge", {"method": "ties"}), ("lora", {})]),
    Case("conv", _quick("ewc", "replay"), "task-incremental", model="conv"),
    Case("frozen", _quick("ewc", "replay"), model="frozen"),
    Case("frozen-batch-norm", _quick("ewc", "replay"), train=BY_THREE, model="frozen-batch-norm"),
    Case("unused", _quick("ewc", "replay"), train=SGD, model="unused"),
    Case("shared", _quick("ewc"), "task-incremental", model="shared"),
    Case("shared-empirical", [("ewc", {"lambda": 50, "estimate": "empirical"})], model="shared"),
    Case("float32", _quick("ewc", "replay"), model="mlp-float32"),
    Case(
        "batch-norm", _quick("ewc", "replay"), train={"epochs": None, "steps": 4, "batch_size": 3}, model="batch-norm"
    ),
    Case("demanding", _quick("lwf", "replay"), "domain-incremental", {**BY_THREE, "optimizer": "sgd"}, "demanding"),
    *(
        Case(name, _quick(name), setting, {**BY_THREE, "optimizer": "sgd"}, "demanding-plain")
        for name, setting in (("dann", "domain-incremental"), ("icarl", "class-incremental"))
    ),
    Case("drop", _quick("replay"), train={"batch_size": 8, "last_batch": "drop"}),
    Case("merge", _quick("naive"), train={"batch_size": 8, "last_batch": "merge"}, model="batch-norm"),
    *(
        Case(f"parts-of-{parts}", _quick("der"), "domain-incremental", {**BY_SEVEN, "accumulate": parts}, "batch-norm")
        for parts in (2, 5)
    ),
    Case("small-epochs", _quick("cumulative"), "domain-incremental", train={"epochs": 1, "batch_size": 19}),
    Case("balanced", _quick("ewc", "gem"), objective={"class_weights": "balanced"}),
    Case("balanced-packnet", _quick("packnet", "replay"), objective={"class_weights": "balanced", "focal": 1.0}),
    Case("smoothed", _quick("lwf", "replay"), "task-incremental", objective={"label_smoothing": 0.2}),
    Case("ewc-every", [("ewc", EVERY), ("cumulative", {})], "task-incremental"),
    _online("replay", "class-incremental", ("replay", {"capacity": 20, "ratio": 0.4})),
    _online("balanced", "domain-incremental", ("replay", {"capacity": 20, "policy": "class-balanced"}), train=SGD),
    _online("ewc", "class-incremental", ("ewc", EVERY)),
    _online("ewc+replay", "task-incremental", ("ewc", {**EVERY, "samples": 7}), ("replay", {"capacity": 20})),
    _online("der", "class-incremental", ("der", {"capacity": 20})),
    _online("agem", "task-incremental", ("agem", {"capacity": 20, "samples": 11})),
    _online("dann", "domain-incremental", ("dann", QUICK["dann"])),
    _online("generated", "class-incremental", ("generative-replay", QUICK["generative-replay"])),
    _online("told", "task-incremental", ("si", {"c": 5.0}), ("gem", {"capacity": 20}), ("replay", {"capacity": 9})),
]


COLUMNS = [
    case
    for learns in ("regression", "multi-label")
    for case in (
        *(
            _columns("domain-incremental", learns, *names)
            for names in (
                ("ewc", "cumulative"), ("si", "replay"), ("mas", "lwf"), ("der",), ("gem",), ("agem",),
                ("generative-replay",), ("dann",), ("lora",),
            )
        ),
        *(
            _columns("task-incremental", learns, *names)
            for names in (("ewc", "replay"), ("mas", "lwf"), ("der",), ("gem",), ("generative-replay",))
        ),
        _columns("task-incremental", learns, "progressive", infer_task=False),
        _columns("task-incremental", learns, "packnet", infer_task=False, prune=0.6),
        _columns("domain-incremental", learns, "ewc", **EVERY),
        Case(f"{learns}-online", _quick("der"), "domain-incremental", {"batch_size": 6}, online=True, learns=learns),
    )
] + [
    _columns("domain-incremental", "regression", "ewc", "gem", objective={"loss": "huber", "delta": 0.5}),
    _columns("domain-incremental", "multi-label", "ewc", "gem", objective={"positive_weights": "balanced"}),
]  # fmt: skip
"""Objectives whose targets have columns, with every strategy that is defined for them."""

EMPIRICAL = {"lambda": 50, "estimate": "empirical"}

TOKENS = [
    Case(f"tokens-{name}", strategies, "domain-incremental", train, "language", online, objective=options,
         learns="next-token")
    for name, strategies, train, online, options in (
        ("ewc+cumulative", [("ewc", EMPIRICAL), ("cumulative", {})], {}, False, {}),
        ("si+replay", _quick("si", "replay"), {"accumulate": 3}, False, {}),
        ("mas+lwf", _quick("mas", "lwf"), {}, False, {"weigh": "sequences"}),
        ("gem", _quick("gem"), {}, False, {}),
        ("o-lora+kl-to-base", _quick("o-lora", "kl-to-base"), {}, False, {}),
        ("agem", _quick("agem"), {}, False, {"weigh": "sequences"}),
        ("lora+ewc+replay", [("lora", {"rank": 2}), ("ewc", EMPIRICAL), *_quick("replay")], DECAY, False, {}),
        *((name, _quick(name), {}, False, {}) for name in ("adapter", "prompt", "osf", "merge")),
        ("replay-exact", [("replay", {"capacity": 20, "ratio": 0.05, "exact": True})], {}, False, {}),
        ("replay-online", _quick("replay"), {"batch_size": 6}, True, {}),
    )
]  # fmt: skip
"""Language models, with every strategy that is defined for them."""

COLUMNS += TOKENS


@dataclass(frozen=True)
class Outcome:
    """What learning a stream came to.

    Attributes:
        counts: correct answers on each test set, after each experience.
        state: everything that goes into a commit, by dotted names.
        memories: tensors of the memories, by dotted names.
        refusal: why the strategies refused, or empty.
        digest: of the state, to the bit.
    """

    counts: list[list[int | None]]
    state: dict[str, Tensor]
    memories: dict[str, Tensor]
    refusal: str = ""

    @property
    def digest(self) -> str:
        sha = hashlib.sha256()
        for name, tensor in sorted({**self.state, **self.memories}.items()):
            sha.update(name.encode())
            sha.update(tensor.detach().contiguous().numpy().tobytes())
        return sha.hexdigest()


def flat_state(learner: Learner) -> dict[str, Tensor]:
    """A copy of the learner's state in one level."""
    return {
        f"{part}:{name}": tensor.detach().clone()
        for part, tensors in learner.state_dict().items()
        for name, tensor in tensors.items()
    }


def all_memories(learner: Learner) -> dict[tuple[str, str], Memory]:
    """The memories of all strategies, by the names of strategy and memory."""
    return {(s.name, name): memory for s in learner.strategies for name, memory in s.memories(learner).items()}


def outcome(learner: Learner, counts: list[list[int | None]]) -> Outcome:
    """Where the learner stands."""
    memories = {
        f"{strategy}.{memory}:{name}": tensor
        for (strategy, memory), held in all_memories(learner).items()
        for name, tensor in held.tensors.items()
    }
    return Outcome(counts, flat_state(learner), memories)


def learn(case: Case, group: Group | None = None) -> Outcome:
    """Learn the case's stream from beginning to end."""
    experiences, outputs = case.stream()
    learner = case.learner(outputs, group)
    counts: list[list[int | None]] = []
    try:
        for experience in experiences:
            case.configure(learner, experience.index)
            learner.learn(experience, case.settings, past=experiences[: experience.index])
            counts.append([count.correct for count in learner.evaluate(experiences)])
    except StrategyError as refusal:
        return Outcome([], {}, {}, str(refusal))
    return outcome(learner, counts)


def learn_all(cases: Sequence[Case]) -> list[tuple[Outcome | None, str]]:
    """For a rank of a group: each case's outcome, on rank 0 only, and its digest."""
    group = Group.current()
    outcomes = [learn(case, group) for case in cases]
    return [(o if group.rank == 0 else None, o.digest) for o in outcomes]

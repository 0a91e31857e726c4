"""How one experience is trained: the learner's settings, and torch's optimisers and schedulers made from them."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from strategies.api.strategy_errors import StrategyError
from strategies.loop.eager_optimizer import eager

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "adagrad": torch.optim.Adagrad,
}
_LENGTH_OPTIONS = {"CosineAnnealingLR": "T_max", "LinearLR": "total_iters", "PolynomialLR": "total_iters",
                   "OneCycleLR": "total_steps"}  # fmt: skip


# The state that an option adds for each parameter. State stored without the option lacks it.
_LATER_SLOTS = {"amsgrad": "max_exp_avg_sq", "momentum": "momentum_buffer", "centered": "grad_avg"}


@dataclass(frozen=True)
class TrainSettings:
    """Training of one experience.

    Attributes:
        epochs, steps: how long; exactly one is given.
        batch_size: samples in a global batch, over all ranks.
        optimizer: name in `OPTIMIZERS`.
        optimizer_options: its keyword arguments (`lr`, ...).
        reset: start the experience with a fresh optimiser state.
        scheduler: class name in torch.optim.lr_scheduler, stepped at every optimiser step, new in each experience.
        scheduler_options: its keyword arguments; its length defaults to the steps of the experience.
        warmup: the learning rate grows linearly over so many steps.
        clip: bound of the gradient's norm.
        accumulate: number of parts in which each batch passes through the model, to save memory. The result stays the
            same, except that layers with batch statistics take them over each part. Parts are the same at any number of
            ranks.
        precision: float32, or bf16 for mixed precision.
        last_batch: keep, drop or merge the samples left at the end of an epoch (see `SampleOrder`).
        lanes: the samples come in blocks, dealt to so many lanes (see `loop.lane_order`); None: one permutation.
        window: blocks of a lane that are shuffled together.
    """

    epochs: int | None = 1
    steps: int | None = None
    batch_size: int = 128
    optimizer: str = "adam"
    optimizer_options: Mapping[str, Any] = field(default_factory=lambda: {"lr": 1e-3})
    reset: bool = False
    scheduler: str | None = None
    scheduler_options: Mapping[str, Any] = field(default_factory=dict)
    warmup: int = 0
    clip: float | None = None
    accumulate: int = 1
    precision: str = "float32"
    last_batch: str = "keep"
    lanes: int | None = None
    window: int = 4


def make_optimizer(settings: TrainSettings, parameters: Iterable[nn.Parameter]) -> Optimizer:
    """The optimiser of `settings`, with torch's fused kernels where it has them.

    Raises:
        StrategyError: an option that the optimiser does not take.
    """
    kind = OPTIMIZERS[settings.optimizer]
    options = dict(settings.optimizer_options)
    parameters = list(parameters)
    # torch's fused Adagrad is for the CPU alone.
    for_device = kind is not torch.optim.Adagrad or all(p.device.type == "cpu" for p in parameters)
    if options.get("fused") and not for_device:
        raise StrategyError("train.optimizer: torch's fused Adagrad works on the CPU only: leave out `fused`")
    if options.get("momentum") and options.get("dampening"):
        # SGD's first step then differs from later ones; fused SGD fails where parameters take it at different times.
        options["fused"] = False
    elif for_device and "fused" in inspect.signature(kind).parameters and not options.get("foreach"):
        options.setdefault("fused", True)
    try:
        optimizer = eager(kind)(parameters, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise StrategyError(f"train.optimizer: {error}") from error
    if kind is torch.optim.SGD and options.get("momentum") and options.get("fused"):
        _begin_momentum(optimizer)
    return optimizer


def _begin_momentum(optimizer: Optimizer) -> None:
    """Start the momentum of fused SGD at zero, from which the first step is the same without dampening.

    torch starts it at the first gradient, and a step fails where parameters get their first gradient at different
    times.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


class WarmUp:
    """The learning rates that a scheduler sets, or constant ones, growing linearly over the first steps.

    (torch's own LinearLR, chained, multiplies the rate of the step before. That fails with a scheduler that sets the
    rate itself at every step.)
    """

    def __init__(self, optimizer: Optimizer, inner: LRScheduler | None, steps: int) -> None:
        """
        Args:
            inner: the scheduler, at its beginning.
            steps: length of the warm-up; step t, from 0, uses (t + 1) / (steps + 1) of the rate.
        """
        self._groups = optimizer.param_groups
        self._inner = inner
        self._steps = steps
        self._done = 0
        self._rates = [group["lr"] for group in self._groups]
        self._scale()

    def step(self) -> None:
        """After an optimiser step: set the learning rates for the next one."""
        for group, rate in zip(self._groups, self._rates, strict=True):
            group["lr"] = rate
        if self._inner is not None:
            self._inner.step()
        self._rates = [group["lr"] for group in self._groups]
        self._done += 1
        self._scale()

    def _scale(self) -> None:
        if self._done < self._steps:
            for group, rate in zip(self._groups, self._rates, strict=True):
                group["lr"] = rate * (self._done + 1) / (self._steps + 1)


def make_scheduler(
    settings: TrainSettings, optimizer: Optimizer, steps: int, start: int = 0
) -> LRScheduler | WarmUp | None:
    """The scheduler of `settings` for an experience of `steps` steps, warm-up included; None for a constant rate.

    Its state after `start` steps is reached by taking these steps: schedulers hold no other state.

    Raises:
        StrategyError: no such scheduler, or an option that it does not take.
    """
    module = torch.optim.lr_scheduler
    inner: LRScheduler | None = None
    if settings.scheduler is not None:
        kind = getattr(module, settings.scheduler, None)
        if not (isinstance(kind, type) and issubclass(kind, LRScheduler)) or kind is module.ReduceLROnPlateau:
            raise StrategyError(f"train.scheduler: torch.optim.lr_scheduler has no {settings.scheduler} that fits")
        options = dict(settings.scheduler_options)
        if settings.scheduler in _LENGTH_OPTIONS:
            options.setdefault(_LENGTH_OPTIONS[settings.scheduler], steps)
        try:
            inner = kind(optimizer, **options)
        except (TypeError, ValueError) as error:
            raise StrategyError(f"train.scheduler: {error}") from error
    scheduler = WarmUp(optimizer, inner, settings.warmup) if settings.warmup else inner
    if scheduler is None:
        return None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*before.*optimizer.step")
        for _ in range(start):
            scheduler.step()
    return scheduler


def optimizer_state(optimizer: Optimizer, names: Mapping[Tensor, str]) -> dict[str, Tensor]:
    """The optimiser's state as tensors named `<parameter>/<slot>`, of the parameters that have a name."""
    state: dict[str, Tensor] = {}
    for parameter, slots in optimizer.state.items():
        for slot, value in slots.items() if parameter in names else ():
            if value is not None:
                tensor = value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
                state[f"{names[parameter]}/{slot}"] = tensor
    return state


def load_optimizer_state(
    optimizer: Optimizer, parameters: Mapping[str, nn.Parameter], state: Mapping[str, Tensor]
) -> None:
    """Take over what `optimizer_state` returned, by an optimiser of the same kind."""
    for key, value in state.items():
        name, _, slot = key.rpartition("/")
        parameter = parameters[name]
        follows = value.dim() > 0 or optimizer.defaults.get("fused")
        optimizer.state[parameter][slot] = value.to(parameter.device, copy=True) if follows else value.clone()
    for option, slot in _LATER_SLOTS.items():
        if optimizer.defaults.get(option) and not isinstance(optimizer, torch.optim.SGD):
            for parameter in {parameters[key.rpartition("/")[0]] for key in state}:
                optimizer.state[parameter].setdefault(slot, torch.zeros_like(parameter))


def keeps_gradients(optimizer: Optimizer) -> bool:
    """Whether a step leaves the gradients as they were; torch's foreach implementations may change them in place."""
    options = optimizer.defaults
    on_cpu = all(p.device.type == "cpu" for group in optimizer.param_groups for p in group["params"])
    return bool(options.get("fused")) or (not options.get("foreach") and (on_cpu or options.get("foreach") is False))

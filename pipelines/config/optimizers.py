"""Options of torch's optimisers and learning-rate schedulers, as they may be written in a pipeline file."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from pipelines.config.component_options import signature_model
from pipelines.config.document import KeyPath
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.sections.section import refuse
from pipelines.config.sections.train_section import OptimizerSpec
from pipelines.config.suggest import did_you_mean
from strategies.api.influence import LEARNED

NonNegative = Annotated[float, Field(ge=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]


class _Optimizer(OptimizerSpec):
    """Options of all optimisers; torch's own defaults apply to options that are not given.

    Attributes:
        weight_decay: the L2 penalty; for adamw the decoupled decay of the weights.
        foreach: whether torch updates all parameters in a few large operations.
        maximize: whether the loss is maximised instead.
    """

    model_config = ConfigDict(extra="forbid")

    weight_decay: Annotated[NonNegative | None, LEARNED] = None
    foreach: Annotated[bool | None, LEARNED] = None
    maximize: Annotated[bool | None, LEARNED] = None


class SGD(_Optimizer):
    """Options of torch.optim.SGD.

    Attributes:
        momentum: the share of the last update that is added to the next one.
        dampening: dampening of the momentum: the gradient counts 1 - dampening.
        nesterov: whether the momentum is Nesterov's.
        fused: whether torch updates the parameters in one kernel; by default wherever it can (never with a dampening).
    """

    momentum: Annotated[NonNegative | None, LEARNED] = None
    dampening: Annotated[float | None, LEARNED] = None
    nesterov: Annotated[bool | None, LEARNED] = None
    fused: Annotated[bool | None, LEARNED] = None

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and (not self.momentum or self.dampening):
            place: KeyPath = ("nesterov",)
            refuse([(place, "needs a momentum above 0 and no dampening")])
        return self


class Adam(_Optimizer):
    """Options of torch.optim.Adam and AdamW.

    Attributes:
        betas: decay of the running means of the gradient and of its square.
        eps: added to the denominator.
        amsgrad: whether the largest running mean so far is used (AMSGrad).
        fused: whether torch updates the parameters in one kernel; by default wherever it can.
    """

    betas: Annotated[tuple[Decay, Decay] | None, LEARNED] = None
    eps: Annotated[NonNegative | None, LEARNED] = None
    amsgrad: Annotated[bool | None, LEARNED] = None
    fused: Annotated[bool | None, LEARNED] = None


class RMSprop(_Optimizer):
    """Options of torch.optim.RMSprop.

    Attributes:
        alpha: decay of the running mean of the squared gradient.
        eps: added to the denominator.
        momentum: the share of the last update that is added to the next one.
        centered: whether the gradient is divided by an estimate of its standard deviation.
    """

    alpha: Annotated[NonNegative | None, LEARNED] = None
    eps: Annotated[NonNegative | None, LEARNED] = None
    momentum: Annotated[NonNegative | None, LEARNED] = None
    centered: Annotated[bool | None, LEARNED] = None


class Adagrad(_Optimizer):
    """Options of torch.optim.Adagrad.

    Attributes:
        lr_decay: decay of the learning rate with the steps.
        initial_accumulator_value: where the sum of squared gradients starts.
        eps: added to the denominator.
        fused: whether torch updates the parameters in one kernel; by default wherever it can.
    """

    lr_decay: Annotated[NonNegative | None, LEARNED] = None
    initial_accumulator_value: Annotated[NonNegative | None, LEARNED] = None
    eps: Annotated[NonNegative | None, LEARNED] = None
    fused: Annotated[bool | None, LEARNED] = None


OPTIMIZERS: dict[str, type[OptimizerSpec]] = {
    "sgd": SGD,
    "adam": Adam,
    "adamw": Adam,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
}

# The learner sets these to the length of the experience.
_LENGTHS = ("T_max", "total_iters", "total_steps")
_UNFIT = {
    "LambdaLR": "takes a function",
    "MultiplicativeLR": "takes a function",
    "SequentialLR": "takes other schedulers",
    "ChainedScheduler": "takes other schedulers",
    "ReduceLROnPlateau": "waits for a metric",
    "LRScheduler": "is only the base class",
}


@cache
def optimizer_model(name: str) -> type[OptimizerSpec]:
    """The keys that the optimiser called `name` takes.

    Raises:
        PipelineError: there is no such optimiser.
    """
    if name not in OPTIMIZERS:
        raise PipelineError(_unknown("optimizer", name, list(OPTIMIZERS)))
    return OPTIMIZERS[name]


@cache
def scheduler_model(name: str) -> type[BaseModel]:
    """The options of the class `name` in torch.optim.lr_scheduler.

    Raises:
        PipelineError: there is no such class, or it cannot be configured from a file.
    """
    from torch.optim import lr_scheduler

    if name in _UNFIT:
        raise PipelineError(f"{name} {_UNFIT[name]}, which a file cannot give")
    known = [
        key
        for key, value in vars(lr_scheduler).items()
        if isinstance(value, type) and issubclass(value, lr_scheduler.LRScheduler) and key not in _UNFIT
    ]
    known = sorted(key for key in known if not key.startswith("_"))
    if name not in known:
        raise PipelineError(_unknown("scheduler", name, known))
    model = signature_model(getattr(lr_scheduler, name), provided=frozenset({"optimizer", "last_epoch", "verbose"}))
    optional = {
        key: (int | None, Field(None, alias=field.alias, ge=1))
        for key, field in model.model_fields.items()
        if field.alias in _LENGTHS
    }
    return create_model(model.__name__, __base__=model, **optional) if optional else model  # type: ignore[call-overload]


def _unknown(what: str, name: str, known: list[str]) -> str:
    close = did_you_mean(name, known)
    return f"unknown {what} '{name[:80]}'{f', did you mean {close!r}?' if close else '.'} Known: {', '.join(known)}"

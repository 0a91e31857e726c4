"""Low-rank adapters: linear layers that are frozen, with a trainable product of two small matrices added."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

from strategies.api.strategy_errors import StrategyError
from strategies.networks.output_layer import put
from strategies.networks.reinitialize import drawn

ALL = "all-linear"
"""Means all linear layers but the head."""


class _Zero(nn.Linear):
    """A linear layer whose weights begin at 0, also where a strategy draws weights anew."""

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)


class LowRankLinear(nn.Module):
    """A linear layer with adapters: h = W x + b + (alpha / r) B A x (Hu et al. 2021, section 4.1).

    A is drawn and B is 0 at first, so that a new adapter changes nothing. The products of all active adapters are
    added.

    Attributes:
        base_layer: the frozen layer, W and b.
        lora_A, lora_B: the layers A, (r, inputs), and B, (outputs, r), of each adapter by its name.
        active: the names of the active adapters; none: the frozen layer alone.
        alpha: the factor.
    """

    def __init__(self, base_layer: nn.Linear, alpha: float) -> None:
        super().__init__()
        self.base_layer = base_layer.requires_grad_(False)
        self.lora_A = nn.ModuleDict()
        self.lora_B = nn.ModuleDict()
        self.active: tuple[str, ...] = ()
        self.alpha = alpha

    def add(self, name: str, rank: int, seed: int) -> None:
        """Add an adapter and make it the active one; the others are frozen."""
        self.lora_A.requires_grad_(False)
        self.lora_B.requires_grad_(False)
        weight = self.base_layer.weight
        first = drawn(lambda: nn.Linear(self.base_layer.in_features, rank, bias=False, dtype=weight.dtype), seed)
        last = _Zero(rank, self.base_layer.out_features, bias=False, dtype=weight.dtype)
        self.lora_A[name] = first.to(weight.device)
        self.lora_B[name] = last.to(weight.device)
        self.active = (name,)

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, ..., inputs) to (n, ..., outputs)."""
        output: Tensor = self.base_layer(inputs)
        for name in self.active:
            first = self.lora_A[name]
            low: Tensor = self.lora_B[name](first(inputs))
            output = output + low * (self.alpha / first.out_features)  # type: ignore[operator]
        return output


def adapted_layers(model: nn.Module) -> Iterator[tuple[str, LowRankLinear]]:
    """The layers with adapters, by name."""
    return ((name, layer) for name, layer in model.named_modules() if isinstance(layer, LowRankLinear))


def adapt(model: nn.Module, names: Sequence[str], alpha: float, head: str = "") -> None:
    """Freeze a model, in place, and make these linear layers able to have adapters.

    Args:
        head: name of the layer that learns on, as far as it did; empty: none.
    """
    learned = {p for p in model.get_submodule(head).parameters() if p.requires_grad} if head else set()
    for parameter in model.parameters():
        parameter.requires_grad_(parameter in learned)
    for name in names:
        layer = model.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        put(model, name, LowRankLinear(layer, alpha))


def add_adapter(model: nn.Module, name: str, rank: int, seed: int) -> None:
    """Give each layer with adapters a further one, which becomes the active one."""
    for number, (_, layer) in enumerate(adapted_layers(model)):
        layer.add(name, rank, (seed + number) % 2**63)


def activate(model: nn.Module, *names: str) -> None:
    """Make the adapters of these names the active ones in all layers; none: the frozen model alone."""
    for _, layer in adapted_layers(model):
        layer.active = names


@contextmanager
def without_adapters(model: nn.Module) -> Iterator[None]:
    """The frozen model alone, for the time of the block."""
    before = [(layer, layer.active) for _, layer in adapted_layers(model)]
    activate(model)
    try:
        yield
    finally:
        for layer, active in before:
            layer.active = active


def stored_adapters(state: Mapping[str, Tensor]) -> list[str]:
    """The names of the adapters in a stored state, sorted."""
    return sorted({name.partition(".lora_A.")[2].partition(".")[0] for name in state if ".lora_A." in name})


def target_names(model: nn.Module, targets: Sequence[str], head: str, who: str) -> list[str]:
    """The linear layers that get adapters, in the model's order.

    Args:
        targets: names of layers, or the ends of their names; `ALL`: all but the head.
        head: name of the layer that makes the output, which is trained as it is.
        who: the strategy's name, for the error.

    Raises:
        StrategyError: there is no such layer; it names those that there are.
    """
    linear = [name for name, layer in model.named_modules() if type(layer) is nn.Linear and name != head]
    if ALL in targets:
        found, unknown = linear, [] if linear else ["a linear layer below the head"]
    else:
        found = [name for name in linear if any(_ends_with(name, target) for target in targets)]
        unknown = [target for target in targets if not any(_ends_with(name, target) for name in linear)]
    if unknown:
        ends = sorted({name.rpartition(".")[2] for name in linear})
        known = f"it has {', '.join(ends[:12])}" if ends else "it has none but the head"
        raise StrategyError(f"{who} adapts torch.nn.Linear layers, and the model has no {unknown[0]!r}: {known}")
    return found


def _ends_with(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


def stored_targets(model: nn.Module, state: Mapping[str, Tensor]) -> list[str]:
    """The layers of a model, before it is adapted, that have adapters in a stored state.

    Raises:
        ValueError: a layer of the state is no linear layer of the model.
    """
    names = sorted({name.partition(".lora_A.")[0] for name in state if ".lora_A." in name})
    linear = {name for name, layer in model.named_modules() if type(layer) is nn.Linear}
    if not linear.issuperset(names):
        raise ValueError(
            f"it has adapters of {sorted(set(names) - linear)[0]!r}, which is no linear layer of the model"
        )
    order = [name for name, _ in model.named_modules()]
    return sorted(names, key=order.index)


def restore_adapter(model: nn.Module, name: str, state: Mapping[str, Tensor]) -> None:
    """Give each layer with adapters the one called `name` of a stored state, in its rank.

    Raises:
        ValueError: it lacks a matrix, or one has another shape.
    """
    for path, layer in adapted_layers(model):
        first, last = (state.get(f"{path}.lora_{matrix}.{name}.weight") for matrix in "AB")
        if first is None or last is None or first.dim() != 2:
            raise ValueError(f"it lacks the adapter of {path!r}")
        rank, base = first.shape[0], layer.base_layer
        if tuple(first.shape) != (rank, base.in_features) or tuple(last.shape) != (base.out_features, rank) or not rank:
            raise ValueError(f"the adapter of {path!r} has another shape than the layer")
        layer.add(name, rank, 0)


def frozen_names(model: nn.Module, prefix: str = "") -> frozenset[str]:
    """The names of a model's parameters that are frozen and belong to no adapter."""
    return frozenset(
        prefix + name
        for name, p in model.named_parameters(remove_duplicate=False)
        if not p.requires_grad and ".lora_" not in name
    )


def keep_statistics(model: nn.Module) -> None:
    """Layers with running statistics stay in evaluation mode: a frozen model does not change them."""
    for layer in model.modules():
        if getattr(layer, "running_mean", None) is not None:
            layer.train(False)

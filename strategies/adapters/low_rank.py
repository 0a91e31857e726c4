"""Low-rank adapters: linear layers that are frozen, with a trainable product of two small matrices added."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

from strategies.adapters.adapted_linear import Adapted, AdaptedLinear, ZeroLinear
from strategies.api.strategy_errors import StrategyError
from strategies.networks.output_layer import put
from strategies.networks.reinitialize import drawn

ALL = "all-linear"
"""Means all linear layers but the head."""


class LowRankLinear(AdaptedLinear):
    """A linear layer with adapters: h = W x + b + (alpha / r) B A x (Hu et al. 2021, section 4.1).

    A is drawn and B is 0 at first, so that a new adapter changes nothing. The products of all active adapters are
    added.

    Attributes:
        lora_A, lora_B: the layers A, (r, inputs), and B, (outputs, r), of each adapter by its name.
        alpha: the factor.
        by_rows: further adapters, each with the rows of the batch, (k,) int64, that it is for.
    """

    parts = ("lora_A", "lora_B")
    lora_A: nn.ModuleDict
    lora_B: nn.ModuleDict
    by_rows: Sequence[tuple[str, Tensor]] = ()

    def make(self, size: int, seed: int) -> tuple[nn.Linear, nn.Linear]:
        """A and B of rank `size`."""
        base, dtype = self.base_layer, self.base_layer.weight.dtype
        first = drawn(lambda: nn.Linear(base.in_features, size, bias=False, dtype=dtype), seed)
        return first, ZeroLinear(size, base.out_features, bias=False, dtype=dtype)

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, ..., inputs) to (n, ..., outputs)."""
        output: Tensor = self.base_layer(inputs)
        for name in self.active:
            output = output + self._product(name, inputs)
        for name, rows in self.by_rows:
            output = output.index_add(0, rows, self._product(name, inputs[rows]))
        return output

    def _product(self, name: str, inputs: Tensor) -> Tensor:
        first = self.lora_A[name]
        low: Tensor = self.lora_B[name](first(inputs))
        return low * (self.alpha / first.out_features)  # type: ignore[operator]


def adapted_layers(model: nn.Module) -> Iterator[tuple[str, LowRankLinear]]:
    """The layers with low-rank adapters, by name."""
    return ((name, layer) for name, layer in model.named_modules() if isinstance(layer, LowRankLinear))


def layers_with_adapters(model: nn.Module) -> Iterator[tuple[str, AdaptedLinear]]:
    """The linear layers with adapters of any kind, by name."""
    return ((name, layer) for name, layer in model.named_modules() if isinstance(layer, AdaptedLinear))


def adapt(
    model: nn.Module, names: Sequence[str], alpha: float, head: str = "", kind: type[AdaptedLinear] = LowRankLinear
) -> None:
    """Freeze a model, in place, and make these linear layers able to have adapters.

    Args:
        head: name of the layer that learns on, as far as it did; empty: none.
    """
    freeze_but_head(model, head)
    for name in names:
        layer = model.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        put(model, name, kind(layer, alpha))


def freeze_but_head(model: nn.Module, head: str) -> None:
    """Freeze a model, in place, but the layer called `head`, as far as it learned; empty: all of it."""
    learned = {p for p in model.get_submodule(head).parameters() if p.requires_grad} if head else set()
    for parameter in model.parameters():
        parameter.requires_grad_(parameter in learned)


def add_adapter(model: nn.Module, name: str, size: int, seed: int) -> None:
    """Give each layer with adapters a further one, which becomes the active one."""
    for number, (_, layer) in enumerate(layers_with_adapters(model)):
        layer.add(name, size, (seed + number) % 2**63)


def activate(model: nn.Module, *names: str) -> None:
    """Make the adapters of these names the active ones everywhere; none: the frozen model alone."""
    for module in model.modules():
        if isinstance(module, Adapted):
            module.active = names


@contextmanager
def without_adapters(model: nn.Module) -> Iterator[None]:
    """The frozen model alone, for the time of the block."""
    before = [(module, module.active) for module in model.modules() if isinstance(module, Adapted)]
    activate(model)
    try:
        yield
    finally:
        for module, active in before:
            module.active = active


@contextmanager
def adapters_by_rows(model: nn.Module, rows: Mapping[str, Tensor]) -> Iterator[None]:
    """Each row of a batch with the low-rank adapter that is named for it, and no other, for the time of the block.

    Args:
        rows: (k,) int64 by the name of the adapter; the inputs of the layers begin with these rows.
    """
    with without_adapters(model):
        for _, layer in adapted_layers(model):
            layer.by_rows = tuple(rows.items())
        try:
            yield
        finally:
            for _, layer in adapted_layers(model):
                layer.by_rows = ()


def stored_adapters(state: Mapping[str, Tensor], kind: type[AdaptedLinear] = LowRankLinear) -> list[str]:
    """The names of the adapters in a stored state, sorted."""
    mark = f".{kind.parts[0]}."
    return sorted({name.partition(mark)[2].partition(".")[0] for name in state if mark in name})


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


def stored_targets(
    model: nn.Module, state: Mapping[str, Tensor], kind: type[AdaptedLinear] = LowRankLinear
) -> list[str]:
    """The layers of a model, before it is adapted, that have adapters in a stored state.

    Raises:
        ValueError: a layer of the state is no linear layer of the model.
    """
    mark = f".{kind.parts[0]}."
    names = sorted({name.partition(mark)[0] for name in state if mark in name})
    linear = {name for name, layer in model.named_modules() if type(layer) is nn.Linear}
    if not linear.issuperset(names):
        raise ValueError(
            f"it has adapters of {sorted(set(names) - linear)[0]!r}, which is no linear layer of the model"
        )
    order = [name for name, _ in model.named_modules()]
    return sorted(names, key=order.index)


def restore_adapter(model: nn.Module, name: str, state: Mapping[str, Tensor]) -> None:
    """Give each layer with adapters the one called `name` of a stored state, in its size.

    Raises:
        ValueError: it lacks a tensor, or one has another shape.
    """
    for path, layer in layers_with_adapters(model):
        layer.restore(name, path, state)


def adapter_names(model: nn.Module) -> frozenset[str]:
    """The names of the parameters that belong to an adapter."""
    return frozenset(
        f"{path}.{name}" if path else name
        for path, module in model.named_modules()
        if isinstance(module, Adapted)
        for name, _ in module.adapter_parameters()
    )


def frozen_names(model: nn.Module, prefix: str = "") -> frozenset[str]:
    """The names of a model's parameters that are frozen and belong to no adapter."""
    own = adapter_names(model)
    return frozenset(
        prefix + name
        for name, p in model.named_parameters(remove_duplicate=False)
        if not p.requires_grad and name not in own
    )


def keep_statistics(model: nn.Module) -> None:
    """Layers with running statistics stay in evaluation mode: a frozen model does not change them."""
    for layer in model.modules():
        if getattr(layer, "running_mean", None) is not None:
            layer.train(False)

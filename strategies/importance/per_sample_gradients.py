"""Sums over samples of squared (or absolute) per-sample gradients.

For linear and convolutional layers, embeddings, layer normalisation, and batch normalisation in evaluation mode, the
gradient of one sample is a product of what enters the layer and what comes back to its output, so that the sum has a
closed form and costs about one forward and one backward pass (Goodfellow 2015, Efficient per-example gradient
computations). Only layers that learn count: in a frozen model with low-rank adapters these are linear. Models with
anything else go through torch.func, and those that it cannot run, one sample after the other.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from weakref import WeakSet

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from strategies.importance.one_by_one import SlowImportance, add_one_by_one, buffers_kept, slow_importance
from strategies.importance.scalings import may_scale, scales
from strategies.importance.sequence_gradients import add_part, add_positions, has_positions, moment, per_position
from strategies.importance.tied_heads import add_tied, is_linear, tied_heads
from strategies.objectives.objective import Term

_ONE_BY_ONE: WeakSet[nn.Module] = WeakSet()
"""Models that torch.func could not run."""

_TOKENS = 4096
"""Tokens that pass at a time: a transformer keeps much for each until its backward pass."""


def per_sample_moment(
    model: nn.Module, inputs: Tensor, objectives: Sequence[Term], *, absolute: bool = False, chunk: int = 500
) -> dict[str, Tensor]:
    """sum over samples n and objectives o of weight[o, n] * (d objective[o, n] / d parameter)^2, for each parameter.

    The model is put in evaluation mode: samples must not depend on each other.

    Args:
        model: gradients are of its parameters with `requires_grad`.
        inputs: (n, *shape), as the model takes them.
        objectives: at least one.
        absolute: sum absolute values instead of squares.
        chunk: samples at a time.

    Returns:
        Tensors in the parameters' shapes, by name.
    """
    training = model.training
    model.eval()
    try:
        parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        total = {name: torch.zeros_like(p, requires_grad=False) for name, p in parameters.items()}
        tied = tied_heads(model)
        closed = _closed_form_layers(model, parameters, tied)
        every = torch.arange(len(inputs), device=inputs.device)
        if closed is not None and not inputs.is_floating_point() and len(inputs):
            chunk = min(chunk, max(1, _TOKENS // max(1, inputs[0].numel())))
        with buffers_kept(model):
            for rows in every.split(chunk) if len(inputs) else ():
                part = inputs[rows]
                done = closed is not None and _closed_form(model, part, rows, objectives, closed, tied, total, absolute)
                if not done:
                    _functional(model, parameters, part, rows, objectives, total, absolute)
        return total
    finally:
        model.train(training)


def _closed_form_layers(
    model: nn.Module, parameters: dict[str, nn.Parameter], tied: Mapping[nn.Module, nn.Embedding]
) -> dict[nn.Module, str] | None:
    """The layers that hold all parameters, with their names, or None when one has no closed form.

    Args:
        tied: heads with the weights of an embedding; they count, too.
    """
    layers: dict[nn.Module, str] = {}
    owned: set[str] = set()
    for name, module in model.named_modules():
        mine = {f"{name}.{n}" if name else n for n, p in module.named_parameters(recurse=False) if p.requires_grad}
        if module in tied:
            mine &= parameters.keys()  # its weights have the embedding's name
        elif not mine:
            continue
        elif not _has_closed_form(module):
            return None
        layers[module] = name
        owned |= mine
    return layers if owned == set(parameters) else None


def _weights(layer: nn.Module, tied: Mapping[nn.Module, nn.Embedding]) -> set[Tensor]:
    """A layer's own parameters, with those that it shares."""
    shared = {tied[layer].weight} if layer in tied else set()
    return {*layer.parameters(recurse=False), *shared}


def _path(layer: str, name: str) -> str:
    return f"{layer}.{name}" if layer else name


def _has_closed_form(module: nn.Module) -> bool:
    if {name for name, _ in module.named_parameters(recurse=False)} - {"weight", "bias"}:
        return False
    if isinstance(module, nn.Linear):
        return type(module).forward is nn.Linear.forward
    if isinstance(module, nn.Conv2d):
        plain = module.groups == 1 and module.padding_mode == "zeros" and not isinstance(module.padding, str)
        return plain and type(module).forward is nn.Conv2d.forward
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return module.running_var is not None
    return has_positions(module)


def _uses(output: Tensor) -> Counter[Tensor]:
    """How often each parameter enters the graph of `output`."""
    count: Counter[Tensor] = Counter()
    seen = {output.grad_fn}
    waiting = [output.grad_fn]
    while waiting:
        node = waiting.pop()
        for parent, _ in node.next_functions if node is not None else ():
            if parent is None or parent in seen:
                continue
            if hasattr(parent, "variable"):
                count[parent.variable] += 1
            else:
                seen.add(parent)
                waiting.append(parent)
    return count


def _closed_form(
    model: nn.Module,
    inputs: Tensor,
    rows: Tensor,
    objectives: Sequence[Term],
    layers: dict[nn.Module, str],
    tied: Mapping[nn.Module, nn.Embedding],
    total: dict[str, Tensor],
    absolute: bool,
) -> bool:
    """Add one chunk to `total`; False, and nothing added, when the layers are not all called once, in the usual way."""
    seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}
    sequences: set[nn.Module] = set()
    unusual = False

    def keep(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        nonlocal unusual
        if isinstance(module, nn.Embedding) and args and args[0].dim() > 1 and len(output) == 1:
            # Of positions, the same for all samples: each gets its own.
            args = (args[0].expand(len(inputs), *args[0].shape[1:]),)
            output = output.expand(len(inputs), *output.shape[1:])
        dims = (2,) if isinstance(module, nn.Linear) else (4,) if isinstance(module, nn.Conv2d) else (2, 3, 4, 5)
        if args and (module in tied or per_position(module, args[0], output)):
            sequences.add(module)
        elif has_positions(module) or output.dim() not in dims:
            unusual = True
        if module in seen or not args or len(output) != len(inputs):
            unusual = True
        else:
            seen[module] = (args[0].detach(), output)
        return output.clone()  # later operations may change it in place

    handles = [layer.register_forward_hook(keep) for layer in layers]
    try:
        with torch.enable_grad():
            output = model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    uses = _uses(output)
    # A weight may also be used without calling its layer: tied, say, by torch.nn.functional.
    known = Counter(p for layer in seen for p in _weights(layer, tied))
    if unusual or any(uses[p] > known[p] for layer in layers for p in _weights(layer, tied)):
        return False
    if any(may_scale(m) and not scales(m, entering[:1]) for m, (entering, _) in seen.items()):
        return False
    if not all(m in seen and e in seen and is_linear(m, *seen[m]) for m, e in tied.items()):
        return False
    if sequences and not _samples_first(model, inputs[:1], sequences):
        return False
    called = [layer for layer in seen if any(uses[p] for p in _weights(layer, tied))]
    if not called:
        return True
    deltas: dict[nn.Module, Tensor] = {}
    for number, objective in enumerate(objectives):
        values, weights = objective(output, rows)
        weights = None if weights is None else weights.detach()
        last = number == len(objectives) - 1
        gradients = torch.autograd.grad(values.sum(), [seen[m][1] for m in called], retain_graph=not last)
        back = dict(zip(called, gradients, strict=True))
        for module, delta in back.items():
            if module in tied.values():
                continue  # with its head
            ones = delta.new_ones(len(delta)) if weights is None else weights.to(delta.dtype)
            if module in tied:
                other = tied[module]
                names = (_path(layers[other], "weight"), _path(layers[module], "bias"))
                calls = (seen[other][0], back[other]), (seen[module][0], delta)
                add_tied(other, names, *calls, ones, total, absolute)
            elif module in sequences:
                add_positions(module, _path(layers[module], ""), seen[module][0], delta, ones, total, absolute)
            elif isinstance(module, nn.Linear):
                if module in deltas and weights is None and not absolute:
                    deltas[module].addcmul_(delta, delta)
                    continue
                weighted = moment(delta, absolute)
                weighted = weighted if weights is None else weighted.mul_(weights[:, None])
                deltas[module] = deltas[module].add_(weighted) if module in deltas else weighted
            else:
                _add_spatial(module, layers[module], seen[module][0], delta, ones, total, absolute)
    for module, delta in deltas.items():
        _add(total, layers[module], module, delta.T @ moment(seen[module][0], absolute), delta.sum(0))
    return True


def _samples_first(model: nn.Module, one: Tensor, layers: Collection[nn.Module]) -> bool:
    """Whether a single sample is a single row of these layers: as long as a batch may be a sequence by chance."""
    lengths: list[int] = []

    def look(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        lengths.append(len(output))

    handles = [layer.register_forward_hook(look) for layer in layers]
    try:
        with torch.no_grad():
            model(one)
    finally:
        for handle in handles:
            handle.remove()
    return set(lengths) == {1}


def _add(total: dict[str, Tensor], name: str, module: nn.Module, weight: Tensor, bias: Tensor) -> None:
    add_part(total, _path(name, "weight"), weight)
    add_part(total, _path(name, "bias"), bias)


def _add_spatial(
    module: nn.Module,
    name: str,
    entering: Tensor,
    delta: Tensor,
    weights: Tensor,
    total: dict[str, Tensor],
    absolute: bool,
) -> None:
    """Convolution and batch normalisation: positions of one sample add up before the square."""
    n = len(delta)
    flat = delta.reshape(n, delta.shape[1], -1)
    if isinstance(module, nn.Conv2d):
        assert not isinstance(module.padding, str)
        size = (module.kernel_size[0], module.kernel_size[1])
        patches = F.unfold(entering, size, dilation=module.dilation, padding=module.padding, stride=module.stride)
        weight = torch.bmm(flat, patches.transpose(1, 2))
    else:
        assert isinstance(module, nn.modules.batchnorm._BatchNorm)
        mean, variance = module.running_mean, module.running_var
        assert mean is not None and variance is not None
        shape = (1, -1, *[1] * (entering.dim() - 2))
        normal = (entering - mean.view(shape)) * (variance + module.eps).rsqrt().view(shape)
        weight = (flat * normal.reshape(flat.shape)).sum(2)
    bias = flat.sum(2)
    _add(
        total,
        name,
        module,
        torch.einsum("n,n...->...", weights, moment(weight, absolute)),
        weights @ moment(bias, absolute),
    )


def _functional(
    model: nn.Module,
    parameters: dict[str, nn.Parameter],
    inputs: Tensor,
    rows: Tensor,
    objectives: Sequence[Term],
    total: dict[str, Tensor],
    absolute: bool,
) -> None:
    if model in _ONE_BY_ONE:
        add_one_by_one(model, parameters, inputs, rows, objectives, total, absolute)
        return
    values = {name: p.detach() for name, p in parameters.items()}
    fixed = {n: p.detach() for n, p in model.named_parameters() if n not in parameters} | dict(model.named_buffers())
    size = sum(p.numel() for p in parameters.values())
    at_once = max(1, 50_000_000 // max(size, 1))
    for objective in objectives:

        def single(
            params: dict[str, Tensor], x: Tensor, row: Tensor, objective: Term = objective
        ) -> tuple[Tensor, Tensor]:
            value, weight = objective(functional_call(model, {**params, **fixed}, (x[None],)), row[None])
            return value[0], (torch.ones_like(value) if weight is None else weight)[0].detach()

        gradient = vmap(grad(single, has_aux=True), in_dims=(None, 0, 0))
        for number, (part, places) in enumerate(zip(inputs.split(at_once), rows.split(at_once), strict=True)):
            try:
                per_sample, weights = gradient(values, part, places)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:
                if number or objective is not objectives[0]:
                    raise
                _ONE_BY_ONE.add(model)
                warnings.warn(slow_importance(model, error), SlowImportance, stacklevel=2)
                add_one_by_one(model, parameters, inputs, rows, objectives, total, absolute)
                return
            for name, g in per_sample.items():
                total[name] += torch.einsum("n,n...->...", weights.to(g.dtype), moment(g, absolute))

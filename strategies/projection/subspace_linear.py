"""Linear layers of which only directions with small singular values learn."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strategies.loop.process_group import Group
from strategies.networks.output_layer import put


class SubspaceLinear(nn.Module):
    """A linear layer with W = U_high S_high V_high + U_low S_low V_low, of which the second product learns.

    Attributes:
        high: (outputs, inputs): the first product, frozen.
        U_high, V_high: (outputs, k) and (k, inputs): directions that the second product must stay orthogonal to.
        U_low, S_low, V_low: (outputs, r), (r,) and (r, inputs).
        bias: (outputs,), learns as it is, or None.
    """

    high: Tensor
    U_high: Tensor
    V_high: Tensor

    def __init__(self, bias: nn.Parameter | None, U: Tensor, S: Tensor, V: Tensor, kept: int) -> None:
        """
        Args:
            U, S, V: the singular value decomposition of the weights, singular values descending.
            kept: k, how many directions are frozen.
        """
        super().__init__()
        self.register_buffer("high", (U[:, :kept] * S[:kept]) @ V[:kept])
        self.register_buffer("U_high", U[:, :kept].clone())
        self.register_buffer("V_high", V[:kept].clone())
        self.U_low = nn.Parameter(U[:, kept:].clone())
        self.S_low = nn.Parameter(S[kept:].clone())
        self.V_low = nn.Parameter(V[kept:].clone())
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone())

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, ..., inputs) to (n, ..., outputs)."""
        return F.linear(inputs, self.weights(), self.bias)

    def weights(self) -> Tensor:
        """W, (outputs, inputs)."""
        return self.high + (self.U_low * self.S_low) @ self.V_low

    @torch.no_grad()
    def project_gradients(self) -> None:
        """Take out of the gradients what lies in the frozen directions."""
        if self.U_low.grad is not None:
            _take_out(self.U_low.grad, self.U_high)
        if self.V_low.grad is not None:
            _take_out(self.V_low.grad.T, self.V_high.T)

    @torch.no_grad()
    def project_weights(self) -> None:
        """The same for the weights: an optimiser that scales gradients one by one does not keep them orthogonal."""
        _take_out(self.U_low, self.U_high)
        _take_out(self.V_low.T, self.V_high.T)


def subspace_layers(model: nn.Module) -> Iterator[tuple[str, SubspaceLinear]]:
    """The layers that are decomposed, by name."""
    return ((name, layer) for name, layer in model.named_modules() if isinstance(layer, SubspaceLinear))


@torch.no_grad()
def decompose(model: nn.Module, name: str, preserve: float, group: Group) -> None:
    """Put a `SubspaceLinear` in the place of a linear layer; with one direction or none to learn, freeze the layer.

    Args:
        preserve: share of the smaller dimension that is frozen.
        group: every rank gets the decomposition that rank 0 has found.
    """
    layer = model.get_submodule(name)
    assert isinstance(layer, nn.Linear)
    weight = layer.weight.detach()
    directions = min(weight.shape)
    kept = min(max(1, round(preserve * directions)), directions - 1)
    if not kept:
        layer.requires_grad_(False)
        return
    U, S, V = (part.contiguous() for part in torch.linalg.svd(weight.cpu(), full_matrices=False))
    U, S, V = (part.to(weight.device) for part in _agreed((U, S, V), group))
    put(model, name, SubspaceLinear(layer.bias, U, S, V, kept))


@torch.no_grad()
def merge(model: nn.Module) -> None:
    """Put plain linear layers with the learned weights in the place of the decomposed ones."""
    for name, layer in list(subspace_layers(model)):
        plain = _plain(layer)
        plain.weight.copy_(layer.weights())
        if layer.bias is not None and plain.bias is not None:
            plain.bias.copy_(layer.bias)
        put(model, name, plain)


def stored_subspaces(state: Mapping[str, Tensor]) -> list[str]:
    """The names of the layers that are decomposed in a stored state."""
    return sorted(name.removesuffix(".U_low") for name in state if name.endswith(".U_low"))


def restore_subspace(model: nn.Module, name: str, state: Mapping[str, Tensor]) -> None:
    """Put a `SubspaceLinear` of the stored sizes in the place of a linear layer.

    Raises:
        ValueError: the model has no such layer, or the stored tensors do not fit it.
    """
    layer = dict(model.named_modules()).get(name)
    if type(layer) is not nn.Linear:
        raise ValueError(f"it has directions of {name!r}, which is no linear layer of the model")
    outputs, inputs = layer.weight.shape
    high, low = state.get(f"{name}.U_high"), state.get(f"{name}.U_low")
    directions = min(outputs, inputs)
    if high is None or low is None or high.dim() != 2 or low.dim() != 2:
        raise ValueError(f"the directions of {name!r} are missing")
    kept = high.shape[1]
    if not 0 < kept < directions or kept + low.shape[1] != directions:
        raise ValueError(f"the directions of {name!r} are not those of the layer")
    like = layer.weight
    U, S, V = like.new_zeros(outputs, directions), like.new_zeros(directions), like.new_zeros(directions, inputs)
    put(model, name, SubspaceLinear(layer.bias, U, S, V, kept))


def _plain(layer: SubspaceLinear) -> nn.Linear:
    outputs, inputs = layer.high.shape
    made = nn.Linear(inputs, outputs, bias=layer.bias is not None, dtype=layer.high.dtype, device="meta")
    return made.to_empty(device=layer.high.device)


def _take_out(values: Tensor, directions: Tensor) -> None:
    """values -= D D^T values, in place, for orthonormal columns D."""
    values.addmm_(directions, directions.T @ values, alpha=-1)


def _agreed(parts: tuple[Tensor, ...], group: Group) -> list[Tensor]:
    if group.size == 1:
        return list(parts)
    flat = torch.cat([part.reshape(-1) for part in parts])
    data = group.broadcast(flat.numpy().tobytes())
    pieces = torch.frombuffer(bytearray(data), dtype=flat.dtype).split([math.prod(part.shape) for part in parts])
    return [piece.view_as(part) for piece, part in zip(pieces, parts, strict=True)]

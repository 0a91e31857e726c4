"""Several processes with shares of a batch give what torch's BatchNorm gives on the whole batch."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from pipelines.models.build_model import build_model
from pipelines.models.global_batch_norm import GlobalBatchNorm, convert
from tests.processes import Processes

SHARES = [(8,), (4, 4), (7, 1), (8, 0), (1, 1), (2, 2, 2, 2), (5, 0, 3, 0)]


# float64 shows that the mathematics is the same; "far" shows, in float32, that a mean of 1000 does not drown the
# variance in outputs and running statistics, as it would in a difference of two large sums.
TOLERANCE = {"1d": 1e-9, "2d": 1e-9, "cumulative": 1e-9, "plain": 1e-9, "far": 5e-3}


def _model(kind: str) -> nn.Module:
    torch.manual_seed(0)
    if kind == "far":
        return nn.BatchNorm1d(6)
    if kind == "1d":
        model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3))
    elif kind == "cumulative":
        model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5, momentum=None), nn.Tanh(), nn.Linear(5, 3))
    elif kind == "plain":
        model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5, affine=False, track_running_stats=False))
    else:
        model = nn.Sequential(
            nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 2), nn.BatchNorm2d(4), nn.Flatten()
        )
    return model.double()


def _batches(kind: str, size: int) -> list[Tensor]:
    torch.manual_seed(1)
    if kind == "far":
        return [torch.randn(size, 6) + 1000 for _ in range(3)]
    shape = (2, 5, 5) if kind == "2d" else (6,)
    return [torch.randn(size, *shape, dtype=torch.float64) * 2 + 1 for _ in range(3)]


def _train(model: nn.Module, batches: list[Tensor], share: slice) -> dict[str, Tensor]:
    model.train()
    outputs, inputs = [], []
    for batch in batches:
        mine = batch[share].clone().requires_grad_()
        output = model(mine)
        outputs.append(output.detach())
        inputs.append(mine)
        (output * torch.linspace(-1, 2, output.shape[1])).square().sum().backward()
    found = {f"output {i}": o for i, o in enumerate(outputs)}
    found |= {f"input gradient {i}": x.grad for i, x in enumerate(inputs) if x.grad is not None}
    found |= {f"gradient {n}": p.grad for n, p in model.named_parameters() if p.grad is not None}
    return found | {f"buffer {n}": b for n, b in model.named_buffers()}


def _slices(shares: tuple[int, ...]) -> list[slice]:
    starts = [sum(shares[:i]) for i in range(len(shares) + 1)]
    return [slice(a, b) for a, b in pairwise(starts)]


def _rank(cases: list[tuple[str, tuple[int, ...]]]) -> list[dict[str, Tensor]]:
    """What this rank finds with its shares."""
    rank = dist.get_rank() if dist.is_initialized() else 0
    return [_train(convert(_model(kind)), _batches(kind, sum(shares)), _slices(shares)[rank]) for kind, shares in cases]


@pytest.mark.parametrize("size", [1, 2, 4])
def test_any_shares_give_what_the_whole_batch_gives(size: int) -> None:
    cases = [(kind, shares) for kind in TOLERANCE for shares in SHARES if len(shares) == size]
    if size == 1:
        found = [_rank(cases)]
    else:
        with Processes(size) as processes:
            found = processes.run(_rank, cases)
    for number, (kind, shares) in enumerate(cases):
        expected = _train(_model(kind), _batches(kind, sum(shares)), slice(None))
        for name, value in expected.items():
            if kind == "far" and "gradient" in name:
                continue
            parts = [ranks[number][name] for ranks in found]
            if name.startswith(("output", "input")):
                actual = torch.cat(parts)
            elif name.startswith("gradient"):
                actual = torch.stack(parts).sum(0)
            else:
                assert all(torch.equal(part, parts[0]) for part in parts), (kind, shares, name)
                actual = parts[0]
            close = torch.allclose(actual, value, rtol=TOLERANCE[kind], atol=TOLERANCE[kind])
            assert close, (kind, shares, name, actual, value)


def test_convert_keeps_names_tensors_and_outputs() -> None:
    model = build_model("resnet18-slim", {"filters": 4}, (3, 16, 16), 10, seed=0)
    batch = torch.rand(4, 3, 16, 16)
    model.eval()
    before, state, parameters = model(batch), dict(model.state_dict()), list(model.parameters())
    assert convert(model) is model
    assert {name: tensor.data_ptr() for name, tensor in model.state_dict().items()} == {
        name: tensor.data_ptr() for name, tensor in state.items()
    }
    assert all(new is old for new, old in zip(model.parameters(), parameters, strict=True))
    assert torch.equal(model(batch), before)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert not any(module.training for module in model.modules())


def test_convert_takes_a_layer_alone_and_a_layer_used_twice() -> None:
    assert isinstance(convert(nn.BatchNorm1d(3)), GlobalBatchNorm)
    shared = nn.BatchNorm1d(3)
    model = nn.ModuleDict({"a": nn.Sequential(shared), "b": shared})
    convert(model)
    first: Any = model["a"]
    assert isinstance(model["b"], GlobalBatchNorm)
    assert first[0] is model["b"]


def test_one_process_is_torchs_own() -> None:
    plain = nn.BatchNorm1d(3)
    converted = convert(nn.BatchNorm1d(3))
    batch = torch.randn(6, 3)
    assert torch.equal(converted(batch), plain(batch))
    with pytest.raises(ValueError, match="dimensions"):
        converted(torch.randn(3))

"""torch's optimisers without its compiler compute what they do with it, and leave it out."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from strategies.loop.eager_optimizer import eager
from strategies.loop.train_settings import OPTIMIZERS

_ALONE = """
import sys
import torch
from strategies.loop.eager_optimizer import eager

parameter = torch.nn.Parameter(torch.ones(3))
for kind in (torch.optim.Adam, torch.optim.SGD):
    optimizer = eager(kind)([parameter], lr=0.1)
    torch.optim.lr_scheduler.StepLR(optimizer, 1)
    parameter.grad = torch.ones(3)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    optimizer.load_state_dict(optimizer.state_dict())
print("torch._dynamo" in sys.modules)
"""


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_and_state_are_those_of_torch(name: str) -> None:
    kind = OPTIMIZERS[name]
    options = {"lr": 0.05, **({"momentum": 0.9} if name == "sgd" else {})}
    parameters = [nn.Parameter(torch.linspace(-1, 1, 7)) for _ in range(2)]
    ours, theirs = eager(kind)([parameters[0]], **options), kind([parameters[1]], **options)

    for step in range(4):
        for parameter, optimizer in zip(parameters, (ours, theirs), strict=True):
            optimizer.zero_grad(set_to_none=True)
            (parameter * torch.arange(7.0) * (step + 1)).square().sum().backward()
            optimizer.step()

    assert torch.equal(*parameters)
    assert isinstance(ours, kind) and type(ours).__name__ == kind.__name__
    held, expected = (one.state_dict()["state"][0] for one in (ours, theirs))
    assert held.keys() == expected.keys()
    assert all(not isinstance(held[key], Tensor) or torch.equal(held[key], expected[key]) for key in held)


def test_a_closure_has_gradients_and_the_step_has_none() -> None:
    parameter = nn.Parameter(torch.ones(2))
    optimizer = eager(torch.optim.SGD)([parameter], lr=0.5)

    def closure() -> Tensor:
        loss = parameter.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 2  # type: ignore[arg-type, union-attr]
    assert torch.equal(parameter.detach(), torch.zeros(2))
    assert torch.is_grad_enabled()


def test_the_compiler_is_not_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", _ALONE], capture_output=True, text=True, timeout=240, check=True)
    assert done.stdout.strip() == "False"

"""The layout of images in memory changes the speed, not what is learned."""

import pytest
import torch
from torch import nn

from strategies.loop.learner import Learner
from strategies.loop.process_group import Group
from strategies.loop.train_settings import TrainSettings
from strategies.methods.ewc import EWC
from strategies.methods.replay import Replay
from tests.strategies.streams import Rows, Step

SETTINGS = TrainSettings(epochs=2, batch_size=16, optimizer="sgd", optimizer_options={"lr": 0.1})


def step(index: int) -> Step:
    generator = torch.Generator().manual_seed(index)
    inputs = torch.randint(0, 256, (48, 3, 6, 6), dtype=torch.uint8, generator=generator)
    data = Rows(inputs, torch.arange(48) % 2 + 2 * index, torch.arange(48) + 100 * index)
    return Step(index, data, data, (2 * index, 2 * index + 1))


def learned(channels_last: bool, device: str = "cpu") -> tuple[Learner, list[bool]]:
    """A learner after two experiences, and whether each input of its convolution had its channels last."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(16, 4))
    last: list[bool] = []
    model[0].register_forward_pre_hook(
        lambda _, inputs: last.append(inputs[0].is_contiguous(memory_format=torch.channels_last))
    )
    strategies = [EWC(EWC.Options(**{"lambda": 1.0})), Replay(Replay.Options(capacity=20))]
    group = Group(0, 1)
    learner = Learner(model, strategies, outputs=4, group=group, device=device, channels_last=channels_last)
    steps = [step(0), step(1)]
    for index, experience in enumerate(steps):
        learner.learn(experience, SETTINGS, past=steps[:index])
    learner.evaluate(steps)
    return learner, last


@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda",
            marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")],
        ),
    ],
)
def test_the_same_is_learned_with_the_channels_last(device: str) -> None:
    # TensorFloat-32, which convolutions use on a GPU by default, rounds to 10 bits: layouts would differ by that.
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        (plain, first), (other, second) = learned(False, device), learned(True, device)
    assert second and all(second) and not any(first)
    for name, parameter in other.model.named_parameters():
        assert parameter.is_contiguous(), name
        torch.testing.assert_close(parameter, plain.model.get_parameter(name), rtol=1e-4, atol=1e-6)

"""The small convolutional network."""

from __future__ import annotations

import pytest
import torch

from pipelines.models.cnn import CNN


@pytest.mark.parametrize("shape", [(1, 8, 8), (8, 8), (1, 28, 28), (3, 32, 32), (2, 9, 13)])
@pytest.mark.parametrize("channels", [[4], [4, 5, 6]])
def test_shapes(shape: tuple[int, ...], channels: list[int]) -> None:
    model = CNN(shape, 5, channels=channels, hidden=7)
    assert model(torch.rand(2, *shape)).shape == (2, 5)
    assert model(torch.rand(0, *shape)).shape == (0, 5)


def test_samples_do_not_depend_on_each_other() -> None:
    model = CNN((1, 8, 8), 3).train()
    batch = torch.rand(6, 1, 8, 8)
    torch.testing.assert_close(model(batch)[2:4], model(batch[2:4]))

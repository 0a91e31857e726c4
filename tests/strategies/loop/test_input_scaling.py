"""From stored inputs to what a model takes."""

import torch

from strategies.loop.input_scaling import prepared


def test_bytes_are_scaled_to_one_and_the_stored_stay() -> None:
    stored = torch.tensor([0, 51, 255], dtype=torch.uint8)
    found = prepared(stored)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.tensor([0.0, 0.2, 1.0]))
    assert stored.tolist() == [0, 51, 255]


def test_floats_become_float32_and_other_integers_stay() -> None:
    assert prepared(torch.tensor([0.5], dtype=torch.float64)).dtype == torch.float32
    assert prepared(torch.tensor([0.5], dtype=torch.float16)).tolist() == [0.5]
    tokens = torch.tensor([3, 255])
    assert prepared(tokens) is tokens

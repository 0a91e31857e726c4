"""Permutations and rotations of inputs."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.config.pipeline_errors import DataError
from pipelines.data.transforms import Permute, Rotate, permutations, rotations


@given(st.integers(0, 2**32), st.sampled_from([(7,), (4, 5), (1, 4, 4), (3, 4, 5)]))
@settings(max_examples=30)
def test_a_permutation_is_a_bijection_that_keeps_dtype_and_channels(seed: int, shape: tuple[int, ...]) -> None:
    transform = permutations(2, seed, shape)[1]
    assert isinstance(transform, Permute)
    pixels = math.prod(shape[-2:]) if len(shape) > 1 else shape[0]
    assert sorted(transform.order) == list(range(pixels))
    inputs = torch.randint(0, 256, (6, *shape), dtype=torch.uint8)
    outputs = transform(inputs)
    assert outputs.dtype == torch.uint8
    assert outputs.shape == inputs.shape
    inverse = Permute(tuple(int(i) for i in torch.argsort(torch.tensor(transform.order))))
    assert torch.equal(inverse(outputs), inputs)
    if len(shape) == 3:
        for channel in range(shape[0]):
            values = [tensor[:, channel].flatten(1).sort(dim=1).values for tensor in (inputs, outputs)]
            assert torch.equal(*values)


def test_the_first_experience_is_not_permuted_and_others_differ() -> None:
    found = permutations(4, 0, (1, 8, 8))
    assert found[0] is None
    assert len(set(found[1:])) == 3
    assert permutations(4, 1, (1, 8, 8))[1] != found[1]


def test_longer_streams_begin_alike() -> None:
    assert permutations(5, 3, (8,))[:3] == permutations(3, 3, (8,))
    assert rotations(5, 3, (8, 8))[:3] == rotations(3, 3, (8, 8))


@pytest.mark.parametrize("shape", [(1, 9, 9), (3, 8, 8), (7, 7)])
@pytest.mark.parametrize("quarter", [1, 2, 3, -1])
def test_quarter_turns_are_exact_and_anticlockwise(shape: tuple[int, ...], quarter: int) -> None:
    inputs = torch.randint(0, 256, (5, *shape), dtype=torch.uint8)
    assert torch.equal(Rotate(90.0 * quarter)(inputs), torch.rot90(inputs, quarter, dims=(-2, -1)))


def test_rotation_keeps_dtype_and_range_and_is_zero_outside() -> None:
    for dtype in (torch.uint8, torch.int16, torch.float64, torch.float32):
        turned = Rotate(45.0)(torch.full((2, 1, 8, 8), 200, dtype=dtype))
        assert turned.dtype == dtype
        assert int(turned.max()) == 200
        assert int(turned[0, 0, 0, 0]) == 0


@given(st.floats(-360, 360))
@settings(max_examples=20)
def test_rotation_keeps_what_is_symmetric(degrees: float) -> None:
    y, x = torch.meshgrid(torch.arange(33.0) - 16, torch.arange(33.0) - 16, indexing="ij")
    disc = torch.exp(-(x**2 + y**2) / 40).unsqueeze(0).unsqueeze(0)
    torch.testing.assert_close(Rotate(degrees)(disc), disc, atol=0.02, rtol=0)


def test_angles() -> None:
    def degrees(experiences: int, value: float | list[float] | None) -> list[float]:
        return [t.degrees if isinstance(t, Rotate) else 0.0 for t in rotations(experiences, 0, (8, 8), value)]

    assert degrees(3, [0, 30, 10.5]) == [0, 30, 10.5]
    assert degrees(2, [5, 30, 10.5]) == [5, 30]
    assert degrees(4, 90) == [0, 30, 60, 90]
    assert degrees(1, 90) == [0]
    drawn = degrees(6, None)
    assert drawn[0] == 0
    assert len(set(drawn)) == 6
    assert all(0 <= angle < 180 for angle in drawn)
    assert rotations(6, 1, (8, 8)) != rotations(6, 0, (8, 8))


def test_impossible_rotations_are_refused() -> None:
    with pytest.raises(DataError, match="needs images"):
        rotations(2, 0, (64,))
    with pytest.raises(DataError, match="2 angles for 3 experiences"):
        rotations(3, 0, (8, 8), [0, 10])
    with pytest.raises(DataError, match="finite"):
        rotations(2, 0, (8, 8), [0, math.nan])


def test_parameters_tell_transforms_apart() -> None:
    found = [t.parameters for t in [*permutations(3, 0, (8,)), *rotations(3, 0, (8, 8))] if t is not None]
    assert len({str(parameters) for parameters in found}) == 4

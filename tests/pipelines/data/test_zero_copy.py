"""Tensors through pickle without copies and without warnings."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
import torch

from pipelines.data.zero_copy import pack, tensor_of, unpack


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.int64, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(3, 4), (5,), (0, 2), ()])
def test_any_tensor_comes_back(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = (torch.rand(shape) * 3).to(dtype)
    again = unpack(pickle.loads(pickle.dumps(pack(tensor))))
    assert again.dtype == dtype
    assert torch.equal(again, tensor)


def test_read_only_memory_is_used_in_place_and_nobody_is_warned() -> None:
    array = np.arange(6.0).reshape(2, 3)
    array.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tensor = tensor_of(array)
    assert tensor.data_ptr() == array.ctypes.data


def test_buffers_travel_out_of_band() -> None:
    tensor = torch.zeros(1000, 1000, dtype=torch.uint8)
    buffers: list[pickle.PickleBuffer] = []
    stream = pickle.dumps(pack(tensor), protocol=5, buffer_callback=buffers.append)
    assert len(stream) < 1000
    # As a store of shared objects does it: the memory given back is read-only.
    memory = memoryview(buffers[0].raw()).toreadonly()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = unpack(pickle.loads(stream, buffers=[memory]))
    assert again.data_ptr() == tensor.data_ptr()


def test_memory_lives_as_long_as_the_tensor() -> None:
    array = np.full(100_000, 7, dtype=np.uint8)
    array.flags.writeable = False
    tensor = tensor_of(array)
    del array
    np.zeros(100_000, dtype=np.uint8)
    assert bool((tensor == 7).all())


def test_foreign_byte_order_is_converted() -> None:
    assert tensor_of(np.array([1, 2], dtype=">i4")).tolist() == [1, 2]

"""Tensors as numpy arrays in pickles, so that Ray's object store shares their memory instead of copying it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Packed = tuple[NDArray[np.uint8], torch.dtype, tuple[int, ...]]


class _Writable:
    """The memory of a read-only array, marked as writable.

    Memory of the object store is read-only, about which `torch.from_numpy` warns. No code writes to stored samples:
    they are only indexed, which copies them.
    """

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array
        interface = dict(array.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        self.__array_interface__: dict[str, Any] = interface


def tensor_of(array: NDArray[Any]) -> Tensor:
    """The tensor on an array's memory; if that is read-only, the tensor must not be written to.

    Raises:
        TypeError: an array without numbers.
    """
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    return torch.from_numpy(array if array.flags.writeable or array.size == 0 else np.asarray(_Writable(array)))


def pack(tensor: Tensor) -> Packed:
    """The bytes of a tensor as a one-dimensional uint8 array; it shares the memory of a contiguous CPU tensor.

    Bytes, because numpy lacks some dtypes (bfloat16). Pickle protocol 5 keeps them out of band.
    """
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy(), tensor.dtype, tuple(tensor.shape)


def unpack(packed: Packed) -> Tensor:
    """The tensor of `pack`, on the same memory, read-only memory included: it must not be written to."""
    array, dtype, shape = packed
    return tensor_of(array).view(dtype).reshape(shape)

"""Content hashes: the same samples have the same fingerprint, on any machine and from any file format."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipelines.data.blocks.blockwise import Blockwise
from pipelines.data.samples import StoredSamples, TensorSamples, chunks, slices


def fingerprint(samples: StoredSamples, transform: dict[str, Any] | None) -> str:
    """SHA-256, in hex, over raw inputs, ids, targets and the transform's parameters.

    Args:
        samples: before the transform, with the targets that the model learns.
        transform: the transform's parameters (JSON), None for no transform.
    """
    if isinstance(samples, Blockwise):
        return samples.fingerprint(transform)
    digest = hashlib.sha256()
    header = {"format": 1, "samples": len(samples), "transform": transform}
    digest.update(json.dumps(header, sort_keys=True).encode())
    if samples.content_fingerprint is not None:
        digest.update(f"content {samples.content_fingerprint}".encode())
    else:
        for number, inputs in enumerate(_inputs(samples)):
            if number == 0:
                digest.update(f"{inputs.dtype} {tuple(inputs.shape[1:])}".encode())
            digest.update(_content(inputs))
    digest.update(_content(samples.ids))
    digest.update(_content(samples.targets))
    return digest.hexdigest()


def _inputs(samples: StoredSamples) -> Iterator[Tensor]:
    """The inputs in their order, in parts; those that lie in memory in this order are not copied."""
    if isinstance(samples, TensorSamples):
        return map(samples.inputs, slices(len(samples)))
    return (inputs for inputs, _ in samples.batches(chunks(len(samples))))


def _content(tensor: Tensor) -> memoryview:
    """The values in little-endian order, whatever the machine's own is."""
    flat = tensor.contiguous().reshape(-1)
    if flat.dtype == torch.bfloat16:
        flat = flat.view(torch.int16)
    array = flat.numpy()
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data.cast("B")

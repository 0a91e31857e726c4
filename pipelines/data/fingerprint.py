"""Content hashes: the same samples have the same fingerprint, on any machine and from any file format."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from pipelines.data.blocks.blockwise import Blockwise
from pipelines.data.samples import StoredSamples, TensorSamples, chunks, slices

Key = TypeVar("Key")
_BESIDE = 64 * 2**20
"""Bytes of a set that is still in memory while the next one is read."""


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


def fingerprints(sets: Mapping[Key, Callable[[], tuple[StoredSamples, dict[str, Any] | None]]]) -> dict[Key, str]:
    """The fingerprint of each set. One that is small and in memory is hashed while the next is read.

    Args:
        sets: gives samples and transform, as `fingerprint` takes them.
    """
    found: dict[Key, str] = {}
    hashed: list[tuple[Key, Future[str]]] = []
    with ThreadPoolExecutor(1, "everlearn-hash") as pool:
        for key, read in sets.items():
            samples, transform = read()
            if not isinstance(samples, TensorSamples) or samples.bytes > _BESIDE:
                found[key] = fingerprint(samples, transform)
                continue
            if len(hashed) == 2:
                done, value = hashed.pop(0)
                found[done] = value.result()
            hashed.append((key, pool.submit(fingerprint, samples, transform)))
    return found | {key: value.result() for key, value in hashed}


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

"""Tensors as safetensors bytes: equal tensors give equal bytes, and reading bytes never runs code.

The format: eight bytes with the header's length, a JSON header, the data (https://github.com/huggingface/safetensors).
The library itself writes metadata in random order; tests hold both against each other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.errors import CorruptBlob, StorageError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# A header is some hundred bytes for each tensor; a larger header would only exhaust memory.
LARGEST_HEADER = 64 * 2**20
METADATA = "__metadata__"

_DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
}


def encode(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """`tensors` by name as safetensors bytes, a function of names, dtypes, shapes, values and `metadata` alone.

    Tensors on another device, views, and tensors that share memory are written out in full.

    Raises:
        StorageError: a tensor has a dtype or layout that the format has no place for, or a name is reserved.
    """
    import torch

    names = {getattr(torch, name): code for code, name in _DTYPES.items()}
    header: dict[str, Any] = {METADATA: dict(sorted(metadata.items()))} if metadata else {}
    # Wide dtypes first keeps every tensor aligned; it is also the order of the reference implementation.
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))
    parts: list[bytes | memoryview] = []
    offset = 0
    for name, tensor in ordered:
        if name == METADATA or tensor.dtype not in names or tensor.layout != torch.strided or tensor.is_meta:
            raise StorageError(f"tensor {name!r} cannot be stored: {tensor.dtype}, {tensor.layout}, {tensor.device}")
        raw = _bytes_of(tensor)
        end = offset + raw.nbytes
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        parts.append(raw)
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])


def decode(data: bytes, *, like: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The tensors that `encode` wrote, on the CPU, each in memory of its own.

    Args:
        like: the names, dtypes and shapes that there have to be.

    Raises:
        CorruptBlob: `data` is truncated, malformed or inconsistent, or differs from `like`.
    """
    header, start = _header(data)
    header.pop(METADATA, None)
    tensors: dict[str, Tensor] = {}
    expected = 0
    for name, entry in sorted(header.items(), key=_by_offset):
        dtype, shape, begin, end = _entry(name, entry)
        if begin != expected or end - begin != math.prod(shape) * dtype.itemsize:
            raise CorruptBlob(f"tensor {name[:100]!r}: its offsets do not fit its shape or its neighbours")
        if end > len(data) - start:
            raise CorruptBlob(f"truncated: {start + end} bytes or more are needed, {len(data)} are there")
        tensors[name] = _tensor(name, dtype, shape, data, start + begin)
        expected = end
    if start + expected != len(data):
        raise CorruptBlob(f"{len(data) - start - expected} bytes too many")
    if like is not None:
        _compare(tensors, like)
    return {name: tensors[name] for name in header}


def decode_metadata(data: bytes) -> dict[str, str]:
    """The metadata that `encode` was given. Raises CorruptBlob as `decode`."""
    metadata = _header(data)[0].get(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise CorruptBlob("its metadata is not text by name")
    return metadata


def _bytes_of(tensor: Tensor) -> memoryview:
    import torch

    whole = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    return whole.reshape(-1).view(torch.uint8).numpy().data


def _header(data: bytes) -> tuple[dict[str, Any], int]:
    if len(data) < 8:
        raise CorruptBlob(f"truncated: {len(data)} bytes")
    length = int.from_bytes(data[:8], "little")
    if length > LARGEST_HEADER:
        raise CorruptBlob(f"its header claims {length} bytes, more than the {LARGEST_HEADER} allowed")
    if length > len(data) - 8:
        raise CorruptBlob(f"truncated: its header claims {length} bytes, {len(data) - 8} are there")
    try:
        header = json.loads(data[8 : 8 + length].decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise CorruptBlob(f"its header is no valid JSON: {str(error)[:100]}") from None
    if not isinstance(header, dict):
        raise CorruptBlob("its header is no JSON object")
    return header, 8 + length


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _by_offset(item: tuple[str, Any]) -> tuple[int, int]:
    # Empty tensors begin where their neighbour begins and come first.
    _, _, begin, end = _entry(*item)
    return begin, end


def _entry(name: str, entry: Any) -> tuple[torch.dtype, list[int], int, int]:
    import torch

    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise _malformed(name)
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or not _sizes(shape) or not _sizes(offsets) or len(offsets) != 2 or len(shape) > 64:
        raise _malformed(name)
    if code not in _DTYPES:
        raise CorruptBlob(f"tensor {name[:100]!r}: unknown dtype {code[:20]!r}")
    return getattr(torch, _DTYPES[code]), shape, offsets[0], offsets[1]


def _malformed(name: str) -> CorruptBlob:
    # Made only where it is raised: a message is searched for secrets, and a memory has hundreds of entries.
    return CorruptBlob(f"tensor {name[:100]!r}: its header entry is malformed")


def _sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 2**63 for item in value)


def _tensor(name: str, dtype: torch.dtype, shape: list[int], data: bytes, begin: int) -> Tensor:
    import numpy
    import torch

    try:
        tensor = torch.empty(shape, dtype=dtype)
    except (RuntimeError, OverflowError):
        # An empty tensor may still claim a shape that overflows.
        raise CorruptBlob(f"tensor {name[:100]!r}: impossible shape") from None
    raw = numpy.frombuffer(data, numpy.uint8, tensor.nbytes, begin) if tensor.numel() else numpy.empty(0, numpy.uint8)
    if dtype == torch.bool and (raw > 1).any():
        raise CorruptBlob(f"tensor {name[:100]!r}: a truth value that is neither 0 nor 1")
    tensor.reshape(-1).view(torch.uint8).numpy()[:] = raw
    return tensor


def _compare(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> None:
    missing, unknown = sorted(like.keys() - tensors.keys()), sorted(tensors.keys() - like.keys())
    if missing or unknown:
        raise CorruptBlob(f"tensors are missing ({_some(missing)}) or unknown ({_some(unknown)})")
    for name, expected in like.items():
        found = tensors[name]
        if found.dtype != expected.dtype or found.shape != expected.shape:
            there = f"{found.dtype} {list(found.shape)}"
            raise CorruptBlob(f"tensor {name[:100]!r}: {there}, expected {expected.dtype} {list(expected.shape)}")


def _some(names: list[str]) -> str:
    shown = ", ".join(name[:100] for name in names[:3])
    return f"{shown}, ..." if len(names) > 3 else shown or "none"

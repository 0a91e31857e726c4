"""Tensors to bytes and back."""

import contextlib
import hashlib
import json
import subprocess
import sys

import numpy
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from orchestrator.errors import CorruptBlob, StorageError
from orchestrator.storage.tensors import LARGEST_HEADER, decode, decode_metadata, encode

DTYPES = [
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.uint16,
    torch.int32,
    torch.uint32,
    torch.int64,
    torch.uint64,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.complex64,
]


def _tensor(dtype: torch.dtype, shape: tuple[int, ...], seed: int) -> Tensor:
    tensor = torch.empty(shape, dtype=dtype)
    count = tensor.numel() * tensor.element_size()
    raw = numpy.random.default_rng(seed).integers(0, 2 if dtype == torch.bool else 256, count).astype(numpy.uint8)
    tensor.reshape(-1).view(torch.uint8)[:] = torch.from_numpy(raw)
    return tensor


def _same(a: Tensor, b: Tensor) -> bool:
    """Equal bit for bit, NaN payloads included."""
    same = a.dtype == b.dtype and a.shape == b.shape
    return same and torch.equal(*(t.contiguous().reshape(-1).view(torch.uint8) for t in (a, b)))


tensors = st.builds(
    _tensor,
    st.sampled_from(DTYPES),
    st.lists(st.integers(0, 4), max_size=4).map(tuple),
    st.integers(0, 2**32),
)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).filter(lambda name: name != "__metadata__")


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(names, tensors, max_size=6), st.dictionaries(names, names, max_size=3))
def test_round_trip(given_tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    data = encode(given_tensors, metadata)
    found = decode(data, like=given_tensors)
    assert found.keys() == given_tensors.keys()
    assert all(_same(found[name], given_tensors[name]) for name in found)
    assert decode_metadata(data) == metadata
    assert encode(found, metadata) == data


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(names, tensors, max_size=6))
def test_the_reference_implementation_reads_it(given_tensors: dict[str, Tensor]) -> None:
    found = safetensors.torch.load(encode(given_tensors, {"b": "1", "a": "2"}))
    assert found.keys() == given_tensors.keys()
    assert all(_same(found[name], given_tensors[name]) for name in found)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(names, tensors, max_size=6))
def test_what_the_reference_implementation_wrote_is_read(given_tensors: dict[str, Tensor]) -> None:
    data = safetensors.torch.save(given_tensors, {"by": "others"})
    found = decode(data)
    assert found.keys() == given_tensors.keys()
    assert all(_same(found[name], given_tensors[name]) for name in found)
    assert decode_metadata(data) == {"by": "others"}


def test_bytes_depend_on_the_content_alone() -> None:
    script = (
        "import torch, hashlib; from orchestrator.storage.tensors import encode; "
        "t = {'b': torch.arange(6.).reshape(2, 3), 'a': torch.tensor(1, dtype=torch.uint8)}; "
        "print(hashlib.sha256(encode(t, {'x': '1', 'y': '2', 'z': '3'})).hexdigest())"
    )
    elsewhere = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.strip()
    tensors = {"a": torch.tensor(1, dtype=torch.uint8), "b": torch.arange(12.0)[::2].reshape(2, 3) / 2}
    assert hashlib.sha256(encode(tensors, {"z": "3", "y": "2", "x": "1"})).hexdigest() == elsewhere


def test_views_and_shared_memory_are_written_out() -> None:
    base = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    views = {
        "transposed": base.t(),
        "slice": base[:, 1:3],
        "row": base[1],
        "again": base,
        "same": base,
        "expanded": base[:1].expand(5, 4),
        "flipped": torch.complex(base, base).conj(),
        "parameter": torch.nn.Parameter(base),
    }
    found = decode(encode(views))
    for name, view in views.items():
        assert torch.equal(found[name], view.detach().resolve_conj()), name
    assert not found["parameter"].requires_grad


def test_decoded_tensors_own_their_memory() -> None:
    data = encode({"a": torch.ones(4), "b": torch.ones(4), "scalar": torch.tensor(2.0)})
    found = decode(data)
    for tensor in found.values():
        assert tensor.untyped_storage().nbytes() == tensor.nbytes
        tensor.add_(1)
    assert torch.equal(decode(data)["a"], torch.ones(4)) and torch.equal(found["b"], torch.full((4,), 2.0))


@pytest.mark.parametrize(
    "tensor",
    [torch.zeros(2, dtype=torch.complex128), torch.eye(2).to_sparse(), torch.empty(2, device="meta")],
    ids=["complex128", "sparse", "meta"],
)
def test_what_has_no_place_in_the_format(tensor: Tensor) -> None:
    with pytest.raises(StorageError, match="tensor 'x' cannot be stored"):
        encode({"x": tensor})


def test_reserved_name() -> None:
    with pytest.raises(StorageError, match="__metadata__"):
        encode({"__metadata__": torch.zeros(1)})


def _file(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def _entry(dtype: object = "U8", shape: object = (4,), offsets: object = (0, 4)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "truncated"),
        (b"1234567", "truncated"),
        (_file({"x": _entry()}, b"123"), "truncated"),
        (_file({"x": _entry()}, b"12345"), "too many"),
        ((100).to_bytes(8, "little") + b"{}", "truncated"),
        ((LARGEST_HEADER + 1).to_bytes(8, "little"), "more than the"),
        ((2**64 - 1).to_bytes(8, "little"), "header claims"),
        (_file(b"not json"), "no valid JSON"),
        (_file(b"\xff\xfe"), "no valid JSON"),
        (_file(b"[" * 100_000), "no valid JSON"),
        (_file(b'{"x":' * 100_000), "no valid JSON"),
        (_file(b'{"x": 1' + b"0" * 10_000 + b"}"), "JSON|malformed"),
        (_file(b'{"x": {}, "x": {}}'), "twice"),
        (_file([]), "no JSON object"),
        (_file({"x": 1}), "malformed"),
        (_file({"x": {}}), "malformed"),
        (_file({"x": {**_entry(), "more": 1}}, b"1234"), "malformed"),
        (_file({"x": _entry(dtype=3)}, b"1234"), "malformed"),
        (_file({"x": _entry(dtype="PICKLE")}, b"1234"), "unknown dtype"),
        (_file({"x": _entry(shape=[-4])}, b"1234"), "malformed"),
        (_file({"x": _entry(shape=[4.0])}, b"1234"), "malformed"),
        (_file({"x": _entry(shape=[True, 4])}, b"1234"), "malformed"),
        (_file({"x": _entry(shape=[2**63])}, b"1234"), "malformed"),
        (_file({"x": _entry(shape=[1] * 65, offsets=[0, 1])}, b"1"), "malformed"),
        (_file({"x": _entry(shape=[2**62, 2**62])}, b"1234"), "offsets"),
        (_file({"x": _entry(shape=[0, 2**62, 2**62], offsets=[0, 0])}), "impossible shape"),
        (_file({"x": _entry(shape=[3])}, b"1234"), "offsets"),
        (_file({"x": _entry(dtype="F32")}, b"1234"), "offsets"),
        (_file({"x": _entry(offsets=[0, 4, 8])}, b"1234"), "malformed"),
        (_file({"x": _entry(offsets=[4, 0])}, b"1234"), "offsets"),
        (_file({"x": _entry(offsets=[1, 5])}, b"12345"), "offsets"),
        (_file({"x": _entry(), "y": _entry()}, b"1234"), "offsets"),
        (_file({"x": _entry(), "y": _entry(offsets=[2, 6])}, b"123456"), "offsets"),
        (_file({"x": _entry(), "y": _entry(offsets=[5, 9])}, b"123456789"), "offsets"),
        (_file({"x": _entry(dtype="BOOL")}, b"\0\1\1\2"), "neither 0 nor 1"),
    ],
)
def test_damaged_and_hostile_bytes_are_refused(data: bytes, problem: str) -> None:
    with pytest.raises(CorruptBlob, match=problem):
        decode(data)


def test_metadata_has_to_be_text() -> None:
    with pytest.raises(CorruptBlob, match="metadata"):
        decode_metadata(_file({"__metadata__": {"a": 1}}))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_refused(data: bytes) -> None:
    for attempt in (data, _file(data)):
        with contextlib.suppress(CorruptBlob):
            decode(attempt)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 2**70)
    | st.floats()
    | st.sampled_from(["U8", "BOOL", "F32", "BF16", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets", "__metadata__", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(max_size=3) | st.just("__metadata__"), json_values, max_size=3), st.binary(max_size=40))
def test_any_header_decodes_or_is_refused(header: dict[str, object], data: bytes) -> None:
    blob = _file(header, data)
    for read in (decode, decode_metadata):
        with contextlib.suppress(CorruptBlob):
            read(blob)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_damaged_bytes_decode_or_are_refused(draw: st.DataObject) -> None:
    data = bytearray(
        encode({"weight": torch.arange(6.0).reshape(2, 3), "steps": torch.tensor(3), "mask": torch.ones(2) > 0})
    )
    for _ in range(draw.draw(st.integers(1, 4))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    with contextlib.suppress(CorruptBlob):
        decode(bytes(data[: draw.draw(st.integers(0, len(data)))]))


@pytest.mark.parametrize(
    ("like", "problem"),
    [
        ({"x": torch.zeros(2, 3), "y": torch.zeros(1)}, r"missing \(y\)"),
        ({}, r"unknown \(x\)"),
        ({"x": torch.zeros(3, 2)}, r"\[2, 3\], expected torch.float32 \[3, 2\]"),
        ({"x": torch.zeros(2, 3, dtype=torch.float64)}, "expected torch.float64"),
    ],
)
def test_like(like: dict[str, Tensor], problem: str) -> None:
    with pytest.raises(CorruptBlob, match=problem):
        decode(encode({"x": torch.zeros(2, 3)}), like=like)

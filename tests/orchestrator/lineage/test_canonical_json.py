"""One spelling for each value."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.lineage.canonical_json import canonical_json, digest, digest_of_json, parse_json

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_reading_what_was_written_gives_the_same_bytes(value: Any) -> None:
    data = canonical_json(value)
    assert parse_json(data) == value
    assert canonical_json(parse_json(data)) == data
    assert digest_of_json(parse_json(data)) == digest(value)


@given(st.dictionaries(st.text(), values, min_size=2, max_size=5), st.randoms())
def test_order_of_keys_does_not_matter(value: dict[str, Any], random: Any) -> None:
    items = list(value.items())
    random.shuffle(items)
    assert digest(dict(items)) == digest(value)


def test_numbers_as_keys_sort_as_they_will_when_read_back() -> None:
    value = {9: "a", 10: "b", 100: "c"}
    assert canonical_json(value) == canonical_json(json.loads(canonical_json(value))) == b'{"10":"b","100":"c","9":"a"}'


def test_whole_numbers_and_fractions_differ() -> None:
    assert digest({"x": 1}) != digest({"x": 1.0})


@pytest.mark.parametrize("value", [float("nan"), {"x": [float("inf")]}])
def test_what_json_has_not(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(value)


def test_other_types() -> None:
    with pytest.raises(TypeError):
        canonical_json({"x": object()})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff",
        b"NaN",
        b"[Infinity]",
        b'{"a": 1, "a": 1}',
        b"[" * 100_000,
        b"[" * 65 + b"]" * 65,
        b"9" * 10_000,
    ],
)
def test_hostile_text(data: bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(data)


def test_deep_values_are_not_written_either() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ValueError, match="deep"):
        canonical_json(value)

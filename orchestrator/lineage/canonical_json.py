"""JSON with one spelling for each value, so that it can be hashed."""

import hashlib
import json
from typing import Any

# Deeper documents are refused: no valid document nests this deep, and a recursive parser would fail on them.
DEEPEST = 64


def canonical_json(value: Any) -> bytes:
    """`value` as ASCII JSON: keys sorted, no spaces, tuples as arrays, every key a string.

    Raises:
        ValueError: it holds NaN or infinity, which JSON does not have, or is nested too deeply.
        TypeError: it holds a value that JSON does not have.
    """
    # A pass through JSON turns keys into strings, so that 9 and 10 sort the same before and after they were stored.
    try:
        return spelled(json.loads(json.dumps(value, allow_nan=False)))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def digest(value: Any) -> str:
    """The SHA-256 of `value`'s canonical JSON, as 64 hexadecimal digits. Raises as `canonical_json`."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def digest_of_json(value: Any) -> str:
    """`digest` of what `parse_json` gave, in a third of the time: its keys are strings already."""
    return hashlib.sha256(spelled(value)).hexdigest()


def parse_json(data: bytes) -> Any:
    """The value of JSON `data` from a store that other programs may have written.

    Raises:
        ValueError: no UTF-8 JSON, a key twice in one object, NaN, infinity, or nested too deeply.
    """
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if _depth(value) > DEEPEST:
        raise ValueError("nested too deeply")
    return value


def spelled(plain: Any) -> bytes:
    """The canonical JSON of plain data whose keys are strings already. Raises ValueError over NaN and infinity."""
    return json.dumps(plain, allow_nan=False, sort_keys=True, separators=(",", ":")).encode("ascii")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _depth(value: Any) -> int:
    depth = 0
    level = [value]
    while level and depth <= DEEPEST:
        depth += 1
        inner = [item.values() if isinstance(item, dict) else item for item in level if isinstance(item, (dict, list))]
        level = [child for children in inner for child in children]
    return depth

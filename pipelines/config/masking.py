"""Values as error messages show them: short, on one line, without passwords."""

from __future__ import annotations

import json
import re
from typing import Any

HIDDEN = "***"
_LONGEST = 80

# Repetitions are bounded, and searches start at a fixed word: otherwise a long word costs quadratic time.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://")
_NAMED = re.compile(
    r"((?:secret|passw(?:or)?d|token|credential|api[_-]?key|access[_-]?key|signature)[\w.-]{0,100}=)[^&\s,'\"]+", re.I
)
_WORD = re.compile(r"\S+")


def mask(text: str) -> str:
    """`text` without user information in URIs and without secret values in query strings. In linear time."""
    if "://" in text and "@" in text:
        text = _WORD.sub(lambda word: _without_user(word[0]), text)
    return _NAMED.sub(rf"\1{HIDDEN}", text)


def _without_user(word: str) -> str:
    """A word without what stands between the scheme of a URI and the last @."""
    last = word.rfind("@")
    scheme = _SCHEME.search(word, 0, last) if last > 0 else None
    return f"{word[: scheme.end()]}{HIDDEN}@{word[last + 1 :]}" if scheme else word


def mask_value(value: str) -> str:
    """A whole value without secrets; unlike in a sentence, a password with spaces or slashes is recognised too."""
    if "@" in value and ":" in value[: value.rindex("@")]:
        scheme = _SCHEME.match(value)
        value = f"{scheme[0] if scheme else ''}{HIDDEN}@{value[value.rindex('@') + 1 :]}"
    return mask(value)


def show(value: Any) -> str:
    """`value` as a person would write it in a pipeline file, masked, at most 80 characters."""
    if isinstance(value, str):
        text = _quote(mask_value(value))
    elif isinstance(value, (dict, list)):
        text = _compact(value, 2 * _LONGEST)
    else:
        text = _scalar(value)
    return shorten(text)


def shorten(text: str, longest: int = _LONGEST) -> str:
    """`text`, cut to `longest` characters."""
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _compact(value: Any, room: int) -> str:
    if room < 0:
        return "..."
    if isinstance(value, dict):
        pairs: list[str] = []
        for key, item in value.items():
            pairs.append(f"{mask_value(str(key))}: {_compact(item, room - sum(map(len, pairs)))}")
            if sum(map(len, pairs)) > room:
                break
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        items: list[str] = []
        for item in value:
            items.append(_compact(item, room - sum(map(len, items))))
            if sum(map(len, items)) > room:
                break
        return "[" + ", ".join(items) + "]"
    return mask_value(value) if isinstance(value, str) else _scalar(value)


def _scalar(value: Any) -> str:
    return json.dumps(value) if value is None or isinstance(value, bool) else repr(value)


def _quote(text: str) -> str:
    return f"'{text}'" if "'" not in text else f'"{text}"'

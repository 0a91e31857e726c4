"""Values set from outside: `--set strategy.ewc.lambda=1000`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipelines.document import Document, KeyPath, one_line, parse
from pipelines.errors import PipelineError
from pipelines.masking import mask_value, shorten, show
from pipelines.shorthand import write_out

_SWITCHES = {"steps": "epochs", "epochs": "steps"}


def apply(document: Document, options: Iterable[str]) -> None:
    """Set the values of `--set` options, such as "train.epochs=2", in the document; the value is read as YAML.

    Raises:
        PipelineError: an option that cannot be read or addresses nothing, all of them in one error.
    """
    problems: list[str] = []
    for option in options:
        path, equals, text = option.partition("=")
        origin = one_line(f"--set {path}={shorten(mask_value(text))}")
        if not equals or not path.strip():
            problems.append(f"{one_line(f'--set {shorten(mask_value(option))}')}: must have the form KEY=VALUE")
            continue
        try:
            keys = address(document, path.strip())
            parsed = parse(text, origin, start=keys, origin=origin)
            document.problems += parsed.problems
            assign(document, keys, parsed.data, origin)
            document.origins |= parsed.origins
            write_out(document)
        except PipelineError as error:
            prefix = f"{origin}: "
            problems += [prefix + line.removeprefix(prefix) for line in error.problems]
    if problems:
        raise PipelineError(problems)


def address(document: Document, path: str) -> KeyPath:
    """A dotted path as a key path in the document. Strategies, in a list there, are addressed by name.

    Raises:
        PipelineError: it names a strategy that the pipeline does not have, or has empty parts.
    """
    parts = path.split(".")
    if not all(parts):
        raise PipelineError(f"'{path}' is not a path of keys joined by dots")
    if parts[0] == "strategy" and len(parts) > 1:
        index, _, rest = _strategy(document, parts[1:])
        return ("strategy", index, *rest)
    if parts[:2] == ["train", "per_experience"] and parts[3:4] == ["strategy"] and len(parts) > 4:
        _, name, rest = _strategy(document, parts[4:])
        return (*parts[:4], name, *rest)
    keys: list[str | int] = []
    for part in parts:
        is_item = isinstance(document.get(tuple(keys)), list) and part.isdecimal() and part.isascii()
        keys.append(int(part[:9]) if is_item else part)
    return tuple(keys)


def assign(document: Document, keys: KeyPath, value: Any, origin: str) -> None:
    """Put `value` at `keys`, with the mappings above it that are missing, and remember where it came from.

    `train.steps` replaces `train.epochs`, and the other way round.

    Raises:
        PipelineError: something above `keys` has no keys.
    """
    if not isinstance(document.data, dict):
        raise PipelineError("the pipeline file holds no keys to set")
    target: Any = document.data
    for depth, key in enumerate(keys):
        here = ".".join(map(str, keys[:depth]))
        if isinstance(target, list) and not (isinstance(key, int) and key < len(target)):
            raise PipelineError(f"{here} is a list of {len(target)} entries, it has no '{key}'")
        if not isinstance(target, (dict, list)):
            raise PipelineError(f"{here} is {show(target)}, there is nothing to set below it")
        if depth == len(keys) - 1:
            break
        below = target[key] if isinstance(target, list) else target.get(str(key))
        if below is None:
            below = {}
            target[key] = below
            document.origins[keys[: depth + 1]] = origin
        target = below
    target[keys[-1]] = value
    for path in [path for path in document.origins if path[: len(keys)] == keys]:
        del document.origins[path]
    document.origins[keys] = origin
    other = _SWITCHES.get(str(keys[-1]))
    if other and keys[0] == "train" and value is not None and isinstance(document.origins.get((*keys[:-1], other)), int):
        target.pop(other, None)


def _strategy(document: Document, parts: list[str]) -> tuple[int, str, list[str]]:
    """Position, name and remaining parts; a name given by import path has dots of its own, so the longest match counts."""
    listed = document.get(("strategy",))
    listed = [{"name": "naive"}] if listed is None else listed
    names = [entry.get("name") if isinstance(entry, dict) else None for entry in listed] if isinstance(listed, list) else []
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name in names:
            return names.index(name), name, parts[length:]
    if parts[0].isdecimal() and parts[0].isascii() and len(parts[0]) < 6 and int(parts[0]) < len(names):
        return int(parts[0]), str(names[int(parts[0])]), parts[1:]
    has = ", ".join(str(name) for name in names if name)
    raise PipelineError(f"the pipeline has no strategy '{parts[0]}', it has: {has or 'none'}; add it to strategy first")

"""Values set on the command line: `--set strategy.ewc.lambda=1000`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipelines.config.document import MAX_DEPTH, Document, KeyPath, one_line, parse
from pipelines.config.masking import mask_value, shorten, show
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.sections.tune_section import KINDS
from pipelines.config.shorthand import write_out

_SWITCHES = {"steps": "epochs", "epochs": "steps"}


def apply(document: Document, options: Iterable[str]) -> None:
    """Set the values of `--set` options, such as "train.epochs=2", in the document; the value is read as YAML.

    Raises:
        PipelineError: options that cannot be read or address nothing, all in one error.
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
            problems += [one_line(prefix + line.removeprefix(prefix)) for line in error.problems]
    if problems:
        raise PipelineError(problems)


def address(document: Document, path: str) -> KeyPath:
    """A dotted path as a key path in the document. Strategies, which are in a list, are addressed by name.

    Paths below `tune.space` are keys themselves.

    Raises:
        PipelineError: it names a strategy that the pipeline does not have, or has empty parts.
    """
    parts = path.split(".")
    if not all(parts) or len(parts) > MAX_DEPTH:
        raise PipelineError(f"'{shorten(path)}' is not a path of keys joined by dots")
    keys: list[str | int] = []
    if parts[0] == "strategy" and len(parts) > 1:
        index, _, parts = _strategy(document, parts[1:])
        keys = ["strategy", index]
    elif parts[:2] == ["train", "per_experience"] and parts[3:4] == ["strategy"] and len(parts) > 4:
        above = parts[:4]
        _, name, parts = _strategy(document, parts[4:])
        keys = [*above, name]
    elif parts[:2] == ["tune", "space"] and len(parts) > 2:
        kind = parts[-1:] if parts[-1] in KINDS and len(parts) > 3 else []
        return ("tune", "space", ".".join(parts[2 : len(parts) - len(kind)]), *kind)
    for part in parts:
        is_item = isinstance(document.get(tuple(keys)), list) and part.isdecimal() and part.isascii()
        keys.append(int(part[:9]) if is_item else part)
    return tuple(keys)


def assign(document: Document, keys: KeyPath, value: Any, origin: str) -> None:
    """Put `value` at `keys`, create missing mappings above it, and record the origin of the value.

    `train.steps` replaces `train.epochs`, and the other way round.

    Raises:
        PipelineError: something above `keys` has no keys.
    """
    if not isinstance(document.data, dict):
        raise PipelineError("the pipeline file holds no keys to set")
    target: Any = document.data
    for depth, key in enumerate(keys):
        here = ".".join(map(str, keys[:depth]))
        if isinstance(target, list):
            if not (isinstance(key, int) and key < len(target)):
                raise PipelineError(f"{here} is a list of {len(target)} entries, it has no '{key}'")
        elif not isinstance(target, dict):
            raise PipelineError(f"{here} is {show(target)}, there is nothing to set below it")
        if depth == len(keys) - 1:
            break
        below = document.get(keys[: depth + 1])
        if below is None:
            below = target[key] = {}
            document.origins[keys[: depth + 1]] = origin
        target = below
    target[keys[-1]] = value
    for path in [path for path in document.origins if path[: len(keys)] == keys]:
        del document.origins[path]
    document.origins[keys] = origin
    other = _SWITCHES.get(str(keys[-1]))
    # The schema refuses two options that contradict each other.
    contradicts = other and isinstance(document.origins.get((*keys[:-1], other)), str)
    if other and not contradicts and keys[0] == "train" and value is not None and isinstance(target, dict):
        target.pop(other, None)


def _strategy(document: Document, parts: list[str]) -> tuple[int, str, list[str]]:
    """Position, name and remaining parts. A name by import path has dots of its own: the longest match counts."""
    listed = document.get(("strategy",))
    entries = listed if isinstance(listed, list) else []
    names = [entry.get("name") if isinstance(entry, dict) else None for entry in entries]
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name in names:
            return names.index(name), name, parts[length:]
    if parts[0].isdecimal() and parts[0].isascii() and len(parts[0]) < 6 and int(parts[0]) < len(names):
        return int(parts[0]), str(names[int(parts[0])]), parts[1:]
    has = ", ".join(str(name) for name in names if name)
    raise PipelineError(f"the pipeline has no strategy '{parts[0]}', it has: {has or 'none'}; add it to strategy first")

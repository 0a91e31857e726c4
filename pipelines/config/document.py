"""A YAML text as plain data, with the place where each value was written."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import yaml

from pipelines.config.masking import mask, shorten
from pipelines.config.pipeline_errors import PipelineError

KeyPath = tuple[str | int, ...]

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 100_000
MAX_PROBLEMS = 100
_LONGEST_NUMBER = 200

_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
_CORE = "tag:yaml.org,2002:"


@dataclass
class Problem:
    """What is wrong with the value at `path`.

    Attributes:
        got: the value, ready to be shown; None where showing it does not help.
        line: the line of the problem, when it differs from the line of `path`.
    """

    path: KeyPath
    message: str
    got: str | None = None
    line: int | None = None

    @property
    def text(self) -> str:
        """The message with the value."""
        return self.message if self.got is None else f"{self.message}, got {self.got}"


@dataclass
class Document:
    """Plain data (dict with text keys, list, str, int, float, bool, None) and the origin of every part of it.

    Attributes:
        source: the file's name, as errors show it.
        data: the content.
        origins: for a key path the line it was written on, or the command-line option that set it.
        problems: the problems so far; reading continues after most problems so that all are shown together.
    """

    source: str
    data: Any = None
    origins: dict[KeyPath, int | str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def get(self, path: KeyPath) -> Any:
        """The value at `path`, None where there is none."""
        value = self.data
        for part in path:
            if isinstance(value, dict) and isinstance(part, str):
                value = value.get(part)
            elif isinstance(value, list) and isinstance(part, int) and 0 <= part < len(value):
                value = value[part]
            else:
                return None
        return value

    def origin(self, path: KeyPath) -> tuple[int | str, KeyPath]:
        """Where `path`, or its nearest parent in the file, was written, and the path of that part."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]], path[:length]
        return 1, ()

    def describe(self, problem: Problem) -> str:
        """`FILE:LINE: key.path: message, got VALUE`, or `--set K=V: message` where an option set the value."""
        origin, written = self.origin(problem.path)
        if problem.line is not None and isinstance(origin, int):
            origin = problem.line
        path = shorten(".".join(map(str, problem.path)))
        if isinstance(origin, str):
            place = [origin] if problem.path == written else [origin, path]
        else:
            place = [f"{self.source}:{origin}", path]
        return one_line(mask(": ".join(part for part in [*place, problem.text] if part)))

    def error(self) -> PipelineError:
        """All problems, in the order of the file, each once; those of command-line options come last."""

        def order(problem: Problem) -> tuple[bool, int]:
            origin = self.origin(problem.path)[0]
            return (True, 0) if isinstance(origin, str) else (False, problem.line or origin)

        lines = list(dict.fromkeys(self.describe(problem) for problem in sorted(self.problems, key=order)))
        more = len(lines) - MAX_PROBLEMS
        return PipelineError(
            lines if more <= 0 else [*lines[:MAX_PROBLEMS], f"{self.source}: and {more} more problems"]
        )


def one_line(text: str) -> str:
    """`text` with line breaks, control and other unprintable characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def parse(text: str, source: str, *, start: KeyPath = (), origin: str | None = None) -> Document:
    """Read one YAML document.

    Args:
        text: the YAML text.
        source: its name in error messages.
        start: key path of the content, when the text is a part of a larger document.
        origin: the command-line option that holds the text, instead of line numbers.

    Raises:
        PipelineError: it is not YAML, too large or nested too deep. Problems that do not prevent the rest from being
            read (a key given twice, a value of a kind not used here) are listed in the document instead.
    """
    document = Document(source, origins={start: origin or 1})
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise _refused(document, start, f"larger than {MAX_BYTES // 1024} KiB")
    try:
        _check_size(text, document, start, origin)
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is not None:
                document.data = _Reader(loader, document, origin).read(node, start, 0)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        document.origins[start] = origin or (mark.line + 1 if mark else 1)
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise _refused(document, start, f"not valid YAML: {what}") from None
    except yaml.reader.ReaderError as error:
        if isinstance(error.character, int):
            document.origins[start] = origin or text.count("\n", 0, error.position) + 1
        raise _refused(document, start, f"not valid YAML: {error.reason}") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # In PyYAML, int() and chr() fail on escapes such as "\Uffffffff".
        raise _refused(document, start, f"not valid YAML: {error}") from None
    return document


def _refused(document: Document, path: KeyPath, message: str) -> PipelineError:
    return PipelineError([document.describe(problem) for problem in [*document.problems, Problem(path, message)]])


def _check_size(text: str, document: Document, start: KeyPath, origin: str | None) -> None:
    depth = nodes = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent, yaml.AliasEvent)):
            nodes += 1
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH or nodes > MAX_NODES:
            document.origins[start] = origin or (event.start_mark.line + 1 if event.start_mark else 1)
            raise _refused(document, start, _TOO_DEEP if depth > MAX_DEPTH else f"more than {MAX_NODES} values")


class _Reader:
    """Turns nodes into plain data. Aliases are expanded, counted against `MAX_NODES`."""

    def __init__(self, loader: yaml.SafeLoader, document: Document, origin: str | None) -> None:
        self.loader = loader
        self.document = document
        self.option = origin
        self.nodes = 0

    def read(self, node: yaml.Node, path: KeyPath, depth: int) -> Any:
        self.nodes += 1
        # An alias of a node inside itself would never end; it is refused here too.
        if depth > MAX_DEPTH:
            raise _refused(self.document, path, _TOO_DEEP)
        if self.nodes > MAX_NODES:
            raise _refused(self.document, path, f"more than {MAX_NODES} values, with every alias written out")
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_CORE}map":
            return self.mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_CORE}seq":
            values = []
            for index, item in enumerate(node.value):
                self.mark((*path, index), item)
                values.append(self.read(item, (*path, index), depth + 1))
            return values
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node, path)
        self.problem(path, f"the tag {_short(node.tag)} is not used in pipeline files")
        return None

    def mapping(self, node: yaml.MappingNode, path: KeyPath, depth: int) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        merges = [value for key, value in node.value if key.tag == f"{_CORE}merge"]
        for source in (item for value in merges for item in (value.value if value.id == "sequence" else [value])):
            inherited = self.read(source, path, depth + 1)
            if isinstance(inherited, dict):
                merged = {**inherited, **merged}
            else:
                self.problem(path, "'<<' merges mappings only", source)
        for key_node, value_node in node.value:
            if key_node.tag == f"{_CORE}merge":
                continue
            # To YAML 1.1 a bare `on` is the value true; here it is the key of that name.
            is_on = isinstance(key_node, yaml.ScalarNode) and key_node.value == "on"
            if not is_on and (
                _short(key_node.tag) not in ("str", "int", "value") or not isinstance(key_node, yaml.ScalarNode)
            ):
                self.problem(path, "a key must be text: put it in quotes", key_node)
                continue
            key = "on" if is_on else str(self.scalar(key_node, path))
            if key in own:
                where = "" if self.option else f", first on line {self.document.origins[(*path, key)]}"
                self.problem((*path, key), f"given twice{where}", key_node)
                continue
            self.mark((*path, key), key_node)
            own[key] = self.read(value_node, (*path, key), depth + 1)
        return {**merged, **own}

    def scalar(self, node: yaml.ScalarNode, path: KeyPath) -> str | int | float | bool | None:
        value: str | int | float | bool | None
        kind = _short(node.tag)
        try:
            match kind:
                case "str" | "value":
                    text: str = node.value
                    text.encode()
                    value = text
                case "int" if ":" in node.value and len(node.value) > _LONGEST_NUMBER:
                    # Sexagesimal ones, 1:30:00, would take quadratic time.
                    raise OverflowError
                case "int":
                    value = self.loader.construct_yaml_int(node)
                    if abs(value) >= 1 << 63:
                        raise OverflowError
                case "float":
                    value = _float(self.loader, node)
                case "bool":
                    value = self.loader.construct_yaml_bool(node)
                case "null":
                    value = None
                case "timestamp":
                    self.problem(path, f"a date is not used in pipeline files: put it in quotes, '{node.value}'")
                    return None
                case _:
                    self.problem(path, f"the tag {kind} is not used in pipeline files")
                    return None
        except UnicodeEncodeError:
            self.problem(path, "holds half of a surrogate pair, which is not a character")
            return None
        except OverflowError:
            self.problem(path, "a whole number of more than 63 bits")
            return None
        except (ValueError, IndexError, KeyError):
            self.problem(path, f"cannot be read as {kind}")
            return None
        return value

    def mark(self, path: KeyPath, node: yaml.Node) -> None:
        if self.option is None:
            self.document.origins[path] = node.start_mark.line + 1

    def problem(self, path: KeyPath, message: str, node: yaml.Node | None = None) -> None:
        line = None if node is None else node.start_mark.line + 1
        self.document.problems.append(Problem(path, message, line=line))


def _float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    value: float = loader.construct_yaml_float(node)
    if math.isinf(value) and "inf" not in node.value.lower():
        raise ValueError
    return value


def _short(tag: str) -> str:
    return tag.removeprefix(_CORE)

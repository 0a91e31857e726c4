"""What CONTRIBUTING.md says of the tree: imports go one way, files are small, names are found once, tests mirror it."""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from enum import Flag, auto
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("orchestrator", "pipelines", "strategies")
LONGEST = 350
FILES_AT_THE_ROOT = {"orchestrator": 5, "strategies": 3}
MAY_IMPORT = {
    "orchestrator": {"orchestrator", "pipelines", "strategies"},
    "pipelines": {"pipelines", "strategies"},
    "strategies": {"strategies"},
}
ONLY_THE_ORCHESTRATORS = {"ray", "mlflow", "boto3", "botocore"}

FILES = sorted(path.relative_to(ROOT) for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def module_name(path: Path) -> str:
    """The dotted name of a file of the tree; a package's is that of its folder."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


class Kinds(Flag):
    """Import statements, beside those that run when their module is imported."""

    NONE = 0
    FUNCTIONS = auto()
    """Those that run when a function is called."""
    TYPES = auto()
    """Those below TYPE_CHECKING, which never run."""
    ALL = FUNCTIONS | TYPES


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def statements(body: Sequence[ast.AST], kinds: Kinds) -> Iterator[ast.Import | ast.ImportFrom]:
    """The import statements of a module, of the kinds asked for."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and not kinds & Kinds.TYPES:
            yield from statements(node.orelse, kinds)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or kinds & Kinds.FUNCTIONS:
            yield from statements(list(ast.iter_child_nodes(node)), kinds)


@cache
def imported(path: Path, kinds: Kinds) -> frozenset[str]:
    """Names of the modules that a file imports, and of their packages; relative imports are resolved."""
    found: set[str] = set()
    package = ".".join(path.parts[:-1])
    for node in statements(parsed(path).body, kinds):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            # What is imported from a package may be a module of it.
            names = [base, *(f"{base}.{alias.name}" for alias in node.names if f"{base}.{alias.name}" in MODULES)]
        for name in names:
            parts = name.split(".")
            found.update(".".join(parts[:end]) for end in range(1, len(parts) + 1))
    return frozenset(found)


def test_imports_go_one_way() -> None:
    wrong = [
        f"{path} imports {name}"
        for path in FILES
        for name in sorted(imported(path, Kinds.ALL) & set(ROOMS))
        if name not in MAY_IMPORT[path.parts[0]]
    ]
    assert not wrong


def test_only_orchestrator_imports_ray_mlflow_and_boto3() -> None:
    wrong = [
        f"{path} imports {name}"
        for path in FILES
        for name in sorted(imported(path, Kinds.ALL) & ONLY_THE_ORCHESTRATORS)
        if path.parts[0] != "orchestrator"
    ]
    assert not wrong


def test_pipelines_imports_public_names_of_strategies() -> None:
    """A name that begins with an underscore is not public, and neither is what lies in a module of such a name."""
    private = [
        f"{path}: {ast.unparse(node)}"
        for path in FILES
        if path.parts[0] == "pipelines"
        for node in statements(parsed(path).body, Kinds.ALL)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "strategies"
        if re.search(r"(^|[.\s])_[a-z]", f"{node.module} {' '.join(alias.name for alias in node.names)}")
    ]
    assert not private


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of two and more modules each of which leads to all the others (Tarjan 1972)."""
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = lowest[name] = len(index)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in index:
                visit(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in stack:
                lowest[name] = min(lowest[name], index[other])
        if lowest[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, 10 * len(graph)))
    try:
        for name in sorted(graph):
            if name not in index:
                visit(name)
    finally:
        sys.setrecursionlimit(limit)
    return found


def graph(kinds: Kinds) -> dict[str, set[str]]:
    """Which module of the tree imports which. That a module's packages are imported before it makes no circle alone."""
    return {
        name: {other for other in imported(path, kinds) if other in MODULES and not name.startswith(f"{other}.")}
        - {name}
        for name, path in MODULES.items()
    }


def test_modules_do_not_import_one_another_in_a_circle() -> None:
    assert circles(graph(Kinds.NONE)) == []


def test_functions_that_import_close_no_circle_either() -> None:
    """Imports for types alone may: two modules may name each other's classes."""
    assert circles(graph(Kinds.FUNCTIONS)) == []


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}) == [["a", "b", "c"]]
    assert circles({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": set()}) == []


def test_no_file_is_long() -> None:
    tests = sorted(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py"))
    lengths = {str(path): len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in [*FILES, *tests]}
    assert {path: lines for path, lines in lengths.items() if lines > LONGEST} == {}


@pytest.mark.parametrize(("room", "most"), FILES_AT_THE_ROOT.items())
def test_files_lie_in_folders(room: str, most: int) -> None:
    found = sorted(path.name for path in (ROOT / room).glob("*.py"))
    assert len(found) <= most, found


def test_a_file_name_occurs_once() -> None:
    places = defaultdict(list)
    for path in FILES:
        if path.name != "__init__.py":
            places[path.name].append(str(path))
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


def test_every_folder_says_what_lives_there() -> None:
    folders = {path.parent for path in FILES}
    assert {folder / "__init__.py" for folder in folders} <= set(FILES)
    short = {}
    for folder in sorted(folders):
        text = ast.get_docstring(parsed(folder / "__init__.py")) or ""
        sentences = re.findall(r"\S[.!?](?=\s|$)", text)
        if len(sentences) < 2:
            short[str(folder)] = text
    assert short == {}, "the docstring of each folder's __init__.py has two sentences or more"


def test_every_folder_says_what_may_be_imported_from_it() -> None:
    """A sentence "Only `a` and `b` import from here" is true."""
    wrong = []
    for folder in sorted({path.parent for path in FILES}):
        text = " ".join((ast.get_docstring(parsed(folder / "__init__.py")) or "").split())
        if "import" not in text.casefold():
            wrong.append(f"{folder}: says nothing of imports")
        only = re.search(r"Only ((?:`[\w.]+`(?:, | and )?)+) imports? from here", text)
        if only is None:
            continue
        name = module_name(folder / "__init__.py")
        allowed = (name, *re.findall(r"`([\w.]+)`", only[1]))
        wrong += [
            f"{path} imports from {folder}"
            for path in FILES
            if name in imported(path, Kinds.ALL)
            and not f"{module_name(path)}.".startswith(tuple(f"{a}." for a in allowed))
        ]
    assert wrong == []


def defines_a_function(path: Path) -> bool:
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in ast.walk(parsed(path)))


def mirror(path: Path) -> Path:
    """The test file of a module."""
    return Path("tests", *path.parts[:-1], f"test_{path.name}")


def covered_elsewhere() -> dict[Path, Path]:
    """Modules that a test file of another name says it covers, in a line of its docstring, and that file."""
    found = {}
    for test in sorted((ROOT / "tests").rglob("test_*.py")):
        docstring = ast.get_docstring(ast.parse(test.read_text(encoding="utf-8"))) or ""
        for line in re.findall(r"^Covers: (.+)$", docstring, re.MULTILINE):
            found |= {Path(name): test.relative_to(ROOT) for name in re.findall(r"`([^`]+)`", line)}
    return found


def test_every_module_that_defines_a_function_has_its_test_file() -> None:
    elsewhere = covered_elsewhere()
    mine = [path for path in FILES if path.name not in ("__init__.py", "__main__.py") and defines_a_function(path)]
    missing = [f"{path}: no {mirror(path)}" for path in mine if not (ROOT / mirror(path)).exists()]
    assert [line for line in missing if Path(line.partition(":")[0]) not in elsewhere] == []


def test_what_a_test_file_covers_is_there_and_has_no_test_file_of_its_own() -> None:
    wrong = [
        f"{test}: {path}"
        for path, test in covered_elsewhere().items()
        if path not in FILES or (ROOT / mirror(path)).exists()
    ]
    assert wrong == []


def test_a_test_file_has_to_do_with_its_module() -> None:
    """It imports the module or its folder, through whose public names it is reached; a command is run."""
    strangers = []
    for path in FILES:
        test = ROOT / mirror(path)
        if path.name == "__init__.py" or not test.exists():
            continue
        text = test.read_text(encoding="utf-8")
        folder = ".".join(path.parts[:-1])
        is_command = folder == "orchestrator.cli" and path.stem in text
        if not is_command and not re.search(rf"\b{re.escape(folder)}\b", text):
            strangers.append(str(mirror(path)))
    assert strangers == []

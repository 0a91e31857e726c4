"""The modules of a user's own that a pipeline file names, and what they import beside them: sent along with its job."""

from __future__ import annotations

import ast
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

_ROOMS = [Path(__file__).resolve().parents[2] / name for name in ("orchestrator", "pipelines", "strategies")]


def sent_modules(names: Iterable[str], folders: Iterable[Path]) -> tuple[dict[str, Path], list[str]]:
    """Which files and packages of these folders the components need.

    Args:
        names: of components that are not built in and were resolved here; import paths are `package.module:Name`.
        folders: where modules of one's own are looked for: that of the pipeline file, and the working directory.

    Returns:
        Each module file or package folder by the name that it has in the job's folder; a sentence for each module that
        lies elsewhere and is not installed.
    """
    places = [folder.resolve() for folder in folders]
    found: dict[str, Path] = {}
    missing: list[str] = []
    for name in dict.fromkeys(names):
        top = name.partition(":")[0].partition(".")[0]
        path = _path(top)
        if ":" not in name or path is None or _is_there_anyway(path):
            continue
        if path.parent in places:
            _add(path, found)
        else:
            missing.append(f"{name}: {path} is not sent with the job: name its folder with --working-dir")
    return found, missing


def _path(top: str) -> Path | None:
    """The file or the package folder of an imported module."""
    file = getattr(sys.modules.get(top), "__file__", None)
    if file is None:
        return None
    path = Path(file).resolve()
    return path.parent if path.name == "__init__.py" else path


def _is_there_anyway(path: Path) -> bool:
    """Whether it is Everlearn itself, or of Python or an installed package."""
    installed = [Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib", "stdlib")]
    return path in _ROOMS or any(path.is_relative_to(place) for place in installed)


def _add(path: Path, found: dict[str, Path]) -> None:
    """Take a module or package, and what it imports from its own folder."""
    if path.name in found:
        return
    found[path.name] = path
    for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
        for top in _imported(file):
            for beside in (path.parent / f"{top}.py", path.parent / top):
                if beside.is_file() or (beside / "__init__.py").is_file():
                    _add(beside, found)


def _imported(file: Path) -> Iterator[str]:
    """The first part of the name of each module that a file imports."""
    for node in ast.walk(ast.parse(file.read_bytes(), str(file))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]

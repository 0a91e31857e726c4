"""Import paths of pipeline files, such as my_package.module:Name: what they may name, and how it is found.

A pipeline file may come from somebody else, so that a path must not reach any function of any library. It names what is
marked (a subclass of Strategy, `@pipelines.dataset`, `@pipelines.model`), or what a module of the user's own defines:
one that is found in the working directory, beside the pipeline file, in the script's folder or on PYTHONPATH, and is
not installed.
"""

from __future__ import annotations

import functools
import importlib
import site
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from pipelines.config.component_marks import is_marked
from pipelines.config.document import one_line
from pipelines.config.masking import mask, shorten
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.suggest import did_you_mean
from strategies.api.shared_packages import twin

_HOME = Path(__file__).resolve().parents[2]
_ROOMS = ("orchestrator", "pipelines", "strategies")
_DECORATED = {"dataset": "@pipelines.dataset", "model": "@pipelines.model"}

_beside: ContextVar[Path | None] = ContextVar("beside", default=None)


@contextmanager
def modules_beside(file: Path) -> Iterator[None]:
    """Within the block, import paths may name modules in the folder of this pipeline file."""
    token = _beside.set(file.absolute().parent)
    try:
        yield
    finally:
        _beside.reset(token)


def check_beside(path: str) -> None:
    """Refuse an import path whose module was found elsewhere, while one of its name lies beside the pipeline file."""
    folder, top = _beside.get(), path.partition(":")[0].partition(".")[0]
    used = getattr(sys.modules.get(top), "__file__", None)
    if folder is None or not isinstance(used, str) or top in _ROOMS:
        return
    for mine in (folder / f"{top}.py", folder / top / "__init__.py"):
        if mine.is_file() and mine.resolve() != Path(used).resolve():
            raise PipelineError(f"the module {top} is {used}, and hides {mine}: rename one of them")


def check_path(path: str) -> None:
    """Refuse, before anything is imported, what can never be a component.

    Raises:
        PipelineError: it is no import path, or one into the standard library.
    """
    module_name, _, attribute = path.partition(":")
    modules = module_name.split(".")
    if len(path) > 1000 or not all(part.isidentifier() for part in [*modules, *attribute.split(".")]):
        raise PipelineError(f"'{shorten(path)}' is not an import path, such as my_package.module:Name")
    if modules[0] in sys.stdlib_module_names and modules[0] != "__main__":
        raise PipelineError(
            f"{shorten(path)} is part of Python's standard library, which a pipeline file cannot name: "
            "write a function of your own in a module beside the file"
        )
    if "__main__" in modules[1:]:
        raise PipelineError(f"'{shorten(path)}' would run a program: name a function or class of another module")


def import_component(path: str) -> Any:
    """What the import path names, imported and not called; `check_origin` says whether a file may name it.

    Raises:
        PipelineError: it is no import path, or cannot be imported.
    """
    check_path(path)
    module_name, _, attribute = path.partition(":")
    # Unlike `python`, the console script does not search the working directory for modules.
    here, beside = str(Path.cwd()), str(_beside.get() or "")
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    if beside and beside not in sys.path:
        sys.path.append(beside)
    try:
        component: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise PipelineError(f"cannot import {module_name}: {_reason(error)}") from error
    for part in attribute.split("."):
        try:
            component = getattr(component, part)
        except Exception as error:
            close = did_you_mean(part, (name for name in dir(component) if not name.startswith("_")))
            hint = f", did you mean '{close}'?" if close else ""
            hidden = twin(module_name)
            if hidden is not None:
                hint = f": it is Everlearn's, {component.__file__}, and hides yours, {hidden}. Rename yours"
            raise PipelineError(f"{module_name} has no '{part}'{hint}") from error
    return component


def check_origin(component: Any, path: str, kind: str, word: str) -> None:
    """Refuse what an import path may not name.

    Args:
        kind: "strategies", "objectives" or "scores" (already known to be of the base class), "datasets" or "models".
        word: the kind in a message, such as "dataset".

    Raises:
        PipelineError: it is neither marked nor of a module of the user's own. One line, with the remedy.
    """
    if kind in ("strategies", "objectives", "scores") or is_marked(component, kind):
        return
    home = _home(component)
    if home is not None and _is_own(home):
        return
    where = f"it comes from {home}, which" if home is not None and home != path.partition(":")[0] else "its module"
    remedy = f"mark it with {_DECORATED.get(word, 'an entry point')} there" if home is not None else "write one"
    raise PipelineError(
        f"{shorten(path)} cannot be named as a {word}: {where} is not your own code beside the file, and it is not "
        f"marked. Wrap it in a function of a module beside the file, or {remedy}"
    )


def _home(component: Any) -> str | None:
    """The module that defines a component; None where that is not known, as for a built-in method."""
    for _ in range(20):
        if not isinstance(component, functools.partial):
            break
        component = component.func
    if isinstance(component, ModuleType):
        return None
    name = getattr(component, "__module__", None)
    return name if isinstance(name, str) else None


def _is_own(module: str) -> bool:
    """Whether a module is a file of the user's, not of an installed package, the standard library or Everlearn."""
    if module.partition(".")[0] in sys.stdlib_module_names and module != "__main__":
        return False
    file = getattr(sys.modules.get(module), "__file__", None)
    if not isinstance(file, str):
        return False
    place = Path(file).resolve()
    if any(place.is_relative_to(_HOME / room) for room in _ROOMS):
        return False
    return not any(place.is_relative_to(folder) for folder in installed_folders())


@cache
def installed_folders() -> tuple[Path, ...]:
    """The folders of the standard library, of installed packages and of programs such as `everlearn`."""
    paths = sysconfig.get_paths()
    found = {paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib", "scripts") if key in paths}
    found |= {*site.getsitepackages(), site.getusersitepackages()}
    found |= {entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")}
    return tuple({Path(folder).resolve() for folder in found})


def _reason(error: BaseException) -> str:
    first = str(error).strip().partition("\n")[0]
    kind = "" if isinstance(error, ImportError) else type(error).__name__
    return mask(one_line(": ".join(part for part in (kind, first) if part)))

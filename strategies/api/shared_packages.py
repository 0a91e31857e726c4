"""Imports from a user's package that has the same name as one of Everlearn's packages.

Python takes one package of a name: the one that was imported first. Where that is Everlearn's, its own modules are
found first, and then those of the user's package of the same name, from scripts, from the command line and on workers.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

_HOME = Path(__file__).resolve().parents[2]
_ROOMS = ("strategies", "pipelines", "orchestrator")


class _UsersModules(MetaPathFinder):
    """Finds `pipelines.mine` in a user's folder `pipelines`. Python asks it when Everlearn has no such module."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        room, *parts = fullname.split(".")
        if room not in _ROOMS or not parts or not _is_ours(sys.modules.get(room)):
            return None
        folders = [Path(entry or ".", room, *parts[:-1]).resolve() for entry in sys.path]
        return PathFinder.find_spec(fullname, [str(folder) for folder in folders if folder.is_dir()], target)


def install() -> None:
    """Let Python look in a user's packages for what Everlearn's packages of the same name do not have."""
    if not any(isinstance(finder, _UsersModules) for finder in sys.meta_path):
        sys.meta_path.append(_UsersModules())


def twin(module: str) -> Path | None:
    """A user's file that is hidden by Everlearn's module of the same name; None: there is none."""
    parts = module.split(".")
    ours = getattr(sys.modules.get(module), "__file__", None)
    if parts[0] not in _ROOMS or ours is None or not _is_ours(sys.modules[module]):
        return None
    for entry in sys.path:
        for file in (Path(entry or ".", *parts).with_suffix(".py"), Path(entry or ".", *parts, "__init__.py")):
            if file.is_file() and file.resolve() != Path(ours).resolve():
                return file.resolve()
    return None


def _is_ours(module: ModuleType | None) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve().is_relative_to(_HOME)

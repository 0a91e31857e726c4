"""Imports from a user's package that has the same name as one of Everlearn's packages."""

from __future__ import annotations

import sys
from pathlib import Path

_HOME = Path(__file__).resolve().parents[2]
_ROOMS = ("strategies", "pipelines", "orchestrator")


def share(module: str) -> None:
    """Let `module`, such as `pipelines.mine`, be found in a user's package, after Everlearn's own modules."""
    parts = module.split(".")
    if parts[0] not in _ROOMS:
        return
    for depth in range(1, len(parts)):
        package = sys.modules.get(".".join(parts[:depth]))
        if package is None or not hasattr(package, "__path__"):
            return
        known = {Path(entry).resolve() for entry in package.__path__}
        for entry in sys.path:
            folder = Path(entry or ".", *parts[:depth]).resolve()
            if folder not in known and folder.is_dir():
                package.__path__.append(str(folder))
                known.add(folder)


def twin(module: str) -> Path | None:
    """A user's file that is hidden by Everlearn's module of the same name; None: there is none."""
    parts = module.split(".")
    ours = getattr(sys.modules.get(module), "__file__", None)
    if parts[0] not in _ROOMS or ours is None or not Path(ours).resolve().is_relative_to(_HOME):
        return None
    for entry in sys.path:
        for file in (Path(entry or ".", *parts).with_suffix(".py"), Path(entry or ".", *parts, "__init__.py")):
            if file.is_file() and file.resolve() != Path(ours).resolve():
                return file.resolve()
    return None

"""Ray's workers where a user's project has a package of its own named `orchestrator`.

A worker looks for modules in the working directory first, and would find the user's. `import orchestrator` itself takes
care of the other two rooms (see `orchestrator/__init__.py`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

_HOME = Path(__file__).resolve().parents[2]


def shadowed() -> bool:
    """Whether the working directory, or the folder of the script, has a package or module named `orchestrator`."""
    folders = {Path.cwd().resolve(), *(Path(entry).resolve() for entry in sys.path[:1])} - {_HOME}
    return any((f / "orchestrator").is_dir() or (f / "orchestrator.py").is_file() for f in folders)


def worker_setup() -> Callable[[], None]:
    """For Ray's `worker_process_setup_hook`: imports `orchestrator` from this installation before anything else.

    It helps where the worker has the installation in the same place, as on this machine.
    """
    home = str(_HOME)

    def import_orchestrator() -> None:
        import importlib
        import sys
        from pathlib import Path

        if Path(home, "orchestrator", "__init__.py").is_file():
            sys.path.insert(0, home)
            try:
                importlib.import_module("orchestrator")
            finally:
                sys.path.remove(home)

    import_orchestrator.__module__ = "__main__"  # pickled with its code, not by a name that means the user's package
    return import_orchestrator

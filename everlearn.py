"""Everlearn's packages, also for a script that lies beside packages of the same names.

    import everlearn  # first
    from orchestrator import load_pipeline, run

The packages are `orchestrator`, `pipelines` and `strategies`. A script imports what lies in its own folder first, so
that a project's own package `orchestrator` would be taken for Everlearn's. After `import everlearn` Everlearn's modules
are found first, and then those of the project's packages of the same names.
"""

import importlib
import sys
from importlib.metadata import version
from pathlib import Path

_HOME = Path(__file__).resolve().parent
_PACKAGES = ("strategies", "pipelines", "orchestrator")

sys.path.insert(0, str(_HOME))
try:
    _files = {name: str(importlib.import_module(name).__file__) for name in _PACKAGES}
finally:
    sys.path.remove(str(_HOME))
for _name, _file in _files.items():
    if Path(_file).resolve().parents[1] != _HOME:
        raise ImportError(
            f"the package '{_name}' in {_file} hides Everlearn's in {_HOME / _name}.\n"
            "Import `everlearn` before yours, or rename yours"
        )

__version__ = version("everlearn")

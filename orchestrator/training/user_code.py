"""Where an error arose in code of the user's own: a strategy, a dataset, a model or a callback."""

from __future__ import annotations

import linecache
import sysconfig
import traceback
from pathlib import Path

_HOME = Path(__file__).resolve().parents[2]
_OTHERS = [
    *(_HOME / room for room in ("orchestrator", "pipelines", "strategies")),
    *(Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "purelib", "platlib")),
]


def user_line(error: BaseException) -> str | None:
    """The innermost line of the user's code in an error's traceback, as `file:line: text`; None where there is none.

    Everlearn, the standard library and installed packages are not the user's code.
    """
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        name = frame.f_code.co_filename
        if name.startswith("<"):
            continue
        file = Path(name).resolve()
        if not any(file.is_relative_to(other) for other in _OTHERS):
            return f"{file}:{line}: {linecache.getline(name, line).strip()}".rstrip(": ")
    return None

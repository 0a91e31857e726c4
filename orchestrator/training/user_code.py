"""Where an error arose in code of the user's own: a strategy, a dataset, a model or a callback."""

from __future__ import annotations

import linecache
import re
import sys
import sysconfig
import traceback
from pathlib import Path

_HOME = Path(__file__).resolve().parents[2]
_OTHERS = [
    *(_HOME / room for room in ("orchestrator", "pipelines", "strategies")),
    *(Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "purelib", "platlib")),
]
_WRONG_ARGUMENTS = re.compile(r"([\w.]+)\(\) (?:takes|missing|got) ")


def user_line(error: BaseException) -> str | None:
    """The innermost line of the user's code in an error's traceback, as `file:line: text`; None where there is none.

    Everlearn, the standard library and installed packages are not the user's code. A function of the user's that was
    called with arguments it does not take has no line in the traceback: its definition is meant then.
    """
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if _is_user_s(frame.f_code.co_filename):
            return _line(frame.f_code.co_filename, line)
    return _not_called(error) if isinstance(error, TypeError) else None


def _is_user_s(name: str) -> bool:
    return not name.startswith("<") and not any(Path(name).resolve().is_relative_to(other) for other in _OTHERS)


def _line(name: str, line: int) -> str:
    return f"{Path(name).resolve()}:{line}: {linecache.getline(name, line).strip()}".rstrip(": ")


def _not_called(error: TypeError) -> str | None:
    """The definition of the user's function that an error says got the wrong arguments."""
    said = _WRONG_ARGUMENTS.match(str(error))
    if said is None:
        return None
    for module in list(sys.modules.values()):
        found: object = module
        for part in said[1].split("."):
            found = getattr(found, "__dict__", {}).get(part)
        code = getattr(found, "__code__", None)
        if code is not None and _is_user_s(code.co_filename):
            return _line(code.co_filename, code.co_firstlineno)
    return None

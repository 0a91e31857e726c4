"""Numbers such as 1e-3."""

from __future__ import annotations

import math
import re
from typing import Any

_EXPONENT = re.compile(r"[-+]?\d+(?:\.\d*)?[eE][-+]?\d+", re.ASCII)


def exponent(value: Any) -> float | None:
    """The number that the text `value` is in exponent notation; None: it is something else.

    YAML 1.1 reads 1e-3, unlike 1.0e-3, as text.
    """
    if not isinstance(value, str) or not _EXPONENT.fullmatch(value):
        return None
    number = float(value)
    return number if math.isfinite(number) else None

"""Where caches of data lie on this machine's disk, and how much each of them may take."""

from __future__ import annotations

import math
import os
from pathlib import Path

from pipelines.config.pipeline_errors import PipelineError

DEFAULT_GB = 10.0


def disk_cache_folder(name: str) -> Path:
    """The folder of a cache: below `XDG_CACHE_HOME`, else `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "everlearn" / name


def disk_cache_limit(variable: str) -> float:
    """Bytes that the cache may take whose gigabytes an environment variable says; 0: it is off.

    Raises:
        PipelineError: the variable is no number.
    """
    said = os.environ.get(variable) or str(DEFAULT_GB)
    try:
        limit = float(said)
    except ValueError:
        limit = math.nan
    if math.isnan(limit):
        raise PipelineError(f"{variable}: must be a number of gigabytes, got {said!r}")
    return max(limit, 0.0) * 1e9

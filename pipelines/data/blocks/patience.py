"""Reading again when a server does not answer: it may be away for two minutes, or ask to be asked less often."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from pipelines.config.pipeline_errors import DataError

WAITS = (1, 2, 4, 8, 15, 15, 15, 15, 15, 15, 15)
"""Seconds before each further attempt: two minutes together."""
# What pyarrow's errors of S3 say where another attempt may succeed.
_PASSING = (
    "NETWORK_CONNECTION",
    "SLOW_DOWN",
    "THROTTLING",
    "SERVICE_UNAVAILABLE",
    "INTERNAL_FAILURE",
    "REQUEST_TIMEOUT",
    "HTTP status 5",
    "curlCode",
)

Read = TypeVar("Read")


def patiently(read: Callable[[], Read], sleep: Callable[[float], object] = time.sleep) -> Read:
    """What `read` returns, which is called again after a while where a server did not answer.

    Args:
        read: may be called several times; raises DataError.

    Raises:
        DataError: what `read` raised, at last, or because of the data.
    """
    for wait in WAITS:
        try:
            return read()
        except DataError as error:
            if not passes(error):
                raise
        sleep(wait)
    return read()


def passes(error: DataError) -> bool:
    """Whether an error is one of a server, that may pass, and not one of the data."""
    cause = error.__cause__
    return isinstance(cause, OSError) and any(words in str(cause) for words in _PASSING)

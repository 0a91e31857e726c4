"""What the tests need beside Python packages: missing, it skips a test on a person's machine and fails it in CI."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

NO = ("", "0", "false")


def missing(what: str) -> NoReturn:
    """End a test for want of something that `.ci/run` installs.

    Where the environment variable CI is set the test fails: CI must not be green because its tests did not run. What CI
    cannot install, such as a GPU, is skipped by `pytest.skip` instead.

    Args:
        what: is missing, and how to get it.
    """
    if os.environ.get("CI", "").lower() in NO:
        pytest.skip(what)
    pytest.fail(f"{what} (a test may not be skipped for it in CI)", pytrace=False)

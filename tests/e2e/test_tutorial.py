"""The tutorial of arriving files, as written and on real servers that are killed: `python -m tests.tutorial_kills`.

`tests/docs` leaves the page to this test: its commands run here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tutorial_kills import differences


@pytest.mark.ray
@pytest.mark.s3
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_servers_that_are_killed_once_change_nothing_of_what_the_tutorial_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert differences(tmp_path, monkeypatch) == []

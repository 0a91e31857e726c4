"""The order in which several processes take the test files: those that wait lie between those that compute."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

WAITING = ("ray", "slow")
"""Markers of tests that start other programs, and wait for them half of their time."""
UNTIL = 0.8
"""Share of the files that compute before which the last that waits begins: the small ones then end at one time."""


def spread(items: Sequence[pytest.Item], together: Path) -> list[pytest.Item]:
    """Tests by file, with the files that wait spread evenly among the others; else their order stays.

    In their own order, files that start Ray follow one another: while all processes wait, no core has work, and while
    all compute, none waits. Files of the folder `together`, which share one Ray, stay side by side.
    """
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(together if item.path.parent == together else item.path, []).append(item)
    waiting = [file for file, own in files.items() if file != together and any(map(_waits, own))]
    computing = [file for file in files if file not in set(waiting)]
    ahead = UNTIL * len(computing) / max(len(waiting), 1)
    places = [(round(index * ahead), 0, index, file) for index, file in enumerate(waiting)]
    places += [(index, 1, index, file) for index, file in enumerate(computing)]
    return [item for *_, file in sorted(places) for item in files[file]]


def _waits(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) is not None for name in WAITING)

"""Colours of the experiences."""

from __future__ import annotations

import re

import pytest

from orchestrator.tracking.experience_colours import experience_colours


@pytest.mark.parametrize("length", [1, 2, 8, 9, 100])
def test_a_colour_of_its_own_for_each(length: int) -> None:
    colours = experience_colours(length)
    assert len(set(colours)) == length
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in colours)

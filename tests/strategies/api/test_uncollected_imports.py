"""Garbage collection pauses for imports, and is as it was after them."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from strategies.api.uncollected_imports import uncollected


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    frozen = gc.get_freeze_count()
    yield
    gc.enable()
    if gc.get_freeze_count() != frozen:
        gc.unfreeze()


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_collection_pauses_and_continues_as_before(enabled: bool, fails: bool) -> None:
    (gc.enable if enabled else gc.disable)()
    try:
        with uncollected(keep=False):
            assert not gc.isenabled()
            if fails:
                raise KeyError
    except KeyError:
        assert fails
    assert gc.isenabled() is enabled


def test_only_a_process_of_its_own_keeps_what_is_loaded() -> None:
    before = gc.get_freeze_count()
    with uncollected(keep=False):
        pass
    assert gc.get_freeze_count() == before
    with uncollected(keep=True):
        pass
    assert gc.get_freeze_count() > before

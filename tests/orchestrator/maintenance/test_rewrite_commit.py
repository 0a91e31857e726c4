"""Replacing a commit by one of the same id."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import StorageError
from orchestrator.lineage.commit import Commit
from orchestrator.maintenance.rewrite_commit import rewrite
from tests.orchestrator.maintenance.lineages import folder, grow


def later(commit: Commit) -> Commit:
    return commit.revised(timings={"learn": 7.0})


def test_a_commit_is_replaced_under_its_id(tmp_path: Path) -> None:
    lineage = folder(tmp_path)
    commit = grow(lineage, 1)[0]
    changed = rewrite(lineage, commit.id, later)
    assert changed.id == commit.id and lineage.read(commit.id) == changed != commit


def test_what_stays_the_same_is_not_written(tmp_path: Path) -> None:
    lineage = folder(tmp_path)
    commit = grow(lineage, 1)[0]
    key = f"digits/commits/{commit.id}.json"
    before = lineage.store.read_versioned(key)
    assert rewrite(lineage, commit.id, lambda old: old) == commit
    assert lineage.store.read_versioned(key) == before


@pytest.mark.parametrize("same", [False, True])
def test_a_change_in_between_is_not_lost(same: bool, tmp_path: Path) -> None:
    """Unless it is the one that was to be made."""
    lineage = folder(tmp_path)
    commit = grow(lineage, 1)[0]
    theirs = later(commit) if same else commit.revised(timings={"learn": 8.0})

    def meanwhile(old: Commit) -> Commit:
        lineage.store.put(f"digits/commits/{commit.id}.json", theirs.to_json())
        return later(old)

    if same:
        assert rewrite(lineage, commit.id, meanwhile) == theirs
    else:
        with pytest.raises(StorageError, match="another process changed it"):
            rewrite(lineage, commit.id, meanwhile)
    assert lineage.read(commit.id) == theirs


def test_a_commit_that_is_gone_or_damaged(tmp_path: Path) -> None:
    lineage = folder(tmp_path)
    commit = grow(lineage, 1)[0]
    key = f"digits/commits/{commit.id}.json"
    lineage.store.put(key, lineage.store.get(key)[:-9])
    with pytest.raises(StorageError):
        rewrite(lineage, commit.id, later)
    lineage.store.delete(key)
    with pytest.raises(StorageError, match="deleted meanwhile"):
        rewrite(lineage, commit.id, later)

"""Outlines of a long past: what is read with one is what is read without, and one that is wrong is not believed.

Covers: `orchestrator/training/run_outcome.py`
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch

from orchestrator.errors import StorageError
from orchestrator.lineage import layout, past_outline
from orchestrator.lineage.commit import Commit
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.past_outline import (
    Past,
    ancestry,
    follows_from_commits,
    outline_of,
    read_outline,
    read_past,
    remove_outlines,
    write_outline,
)
from orchestrator.maintenance.check_store import fsck
from orchestrator.maintenance.collect_garbage import collect
from orchestrator.maintenance.copy_store import copy
from orchestrator.maintenance.repair_store import repair
from orchestrator.maintenance.rewrite_commit import rewrite
from orchestrator.storage.tensors import encode
from tests.orchestrator.lineage.chains import make_commit

EVERY = 4
LENGTH = 2 * EVERY + 3


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past_outline, "EVERY", EVERY)


BLOBS = {"model": encode({"weight": torch.zeros(2)})}


def extend(lineage: Lineage, chain: Sequence[Commit]) -> Commit:
    return lineage.write(make_commit(len(chain), chain[-1] if chain else None, BLOBS), BLOBS.values())


@pytest.fixture
def chain(lineage: Lineage) -> list[Commit]:
    """A chain that steps have trained, its outline included."""
    made: list[Commit] = []
    for _ in range(LENGTH):
        made.append(extend(lineage, made))
    lineage.point("latest", made[-1].id)
    write_outline(lineage, made, Past([]))
    return made


def keys(lineage: Lineage) -> list[str]:
    return list(lineage.store.list(layout.outlines_prefix(lineage.pipeline)))


def test_the_past_is_that_of_the_commits(lineage: Lineage, chain: list[Commit]) -> None:
    ids = [commit.id for commit in chain]
    past = read_past(lineage, [*ids, "0" * 64])
    assert past.outline == ids[2 * EVERY - 1]
    assert past.chain == [*map(outline_of, chain[: 2 * EVERY]), *chain[2 * EVERY :]]
    assert ancestry(lineage, ids[-1]) == past.chain
    # Of another chain, of a chain that latest is not on, and of a short one, each commit is read.
    assert read_past(lineage, ids[:EVERY]) == Past(chain[:EVERY])
    lineage.point("latest", ids[EVERY - 1])
    assert read_past(lineage, ids) == Past(chain)
    lineage.store.put(layout.ref_key(lineage.pipeline, "latest"), b"damaged")
    assert read_past(lineage, ids) == Past(chain)
    assert ancestry(lineage, ids[3]) == chain[:4]


def test_one_is_written_as_the_chain_grows_and_the_one_before_goes(lineage: Lineage) -> None:
    chain: list[Commit] = []
    for index in range(LENGTH):
        ids = [commit.id for commit in chain]
        past = read_past(lineage, ids)
        assert [commit.id for commit in past.chain] == ids
        # So many commits at most are read whole, however long the chain is.
        whole = [commit for commit, known in zip(past.chain, chain, strict=True) if commit == known]
        assert len(whole) <= EVERY
        chain.append(extend(lineage, chain))
        lineage.point("latest", chain[-1].id)
        write_outline(lineage, [*past.chain, chain[-1]], past)
        assert len(keys(lineage)) == (index >= EVERY)
    assert fsck(lineage).damage == []


@pytest.mark.parametrize("harm", [lambda data: data[:-9], lambda data: b"", lambda data: data.replace(b"100", b"101")])
def test_a_damaged_one_is_not_believed_and_made_anew(
    lineage: Lineage, chain: list[Commit], harm: Callable[[bytes], bytes]
) -> None:
    (key,) = keys(lineage)
    whole = lineage.store.get(key)
    lineage.store.put(key, harm(whole))
    ids = [commit.id for commit in chain]
    past = read_past(lineage, ids)
    assert past == Past(chain) and ancestry(lineage, ids[-1]) == chain
    assert [damage.key for damage in fsck(lineage).damage] == [key]
    write_outline(lineage, past.chain, past)
    assert lineage.store.get(key) == whole and fsck(lineage).damage == []


def test_fsck_takes_none_at_its_word_and_repair_removes_it(lineage: Lineage, chain: list[Commit]) -> None:
    """One that is whole, with its own checksum, and says something else than the commits."""
    wrong = [chain[0].model_copy(update={"steps": 7}), *chain[1:]]
    remove_outlines(lineage)
    write_outline(lineage, wrong, Past([]))
    (key,) = keys(lineage)
    assert not follows_from_commits(lineage, chain[2 * EVERY - 1].id)
    assert [(damage.key, damage.commits) for damage in fsck(lineage).damage] == [(key, ())]
    assert "outlines/" in repair(lineage, fsck)[0]
    assert keys(lineage) == [] and follows_from_commits(lineage, chain[2 * EVERY - 1].id)
    assert read_past(lineage, [commit.id for commit in chain]) == Past(chain)


def test_a_commit_that_was_lost_is_found_by_fsck_and_by_reading_all(lineage: Lineage, chain: list[Commit]) -> None:
    lineage.store.delete(layout.commit_key(lineage.pipeline, chain[2].id))
    assert {damage.key for damage in fsck(lineage).damage} == {
        layout.commit_key(lineage.pipeline, chain[2].id),
        *keys(lineage),
    }
    assert len(lineage.leading([commit.id for commit in chain])) == 2
    # The newest one is never taken from an outline.
    lineage.store.delete(layout.commit_key(lineage.pipeline, chain[-1].id))
    with pytest.raises(StorageError):
        ancestry(lineage, chain[-1].id)
    assert len(read_past(lineage, [commit.id for commit in chain]).chain) == LENGTH - 1


def test_a_commit_is_changed_after_its_outlines_are_gone(lineage: Lineage, chain: list[Commit]) -> None:
    rewrite(lineage, chain[1].id, lambda commit: commit.revised(steps=9))
    assert keys(lineage) == []
    ids = [commit.id for commit in chain]
    past = read_past(lineage, ids)
    assert past.outline is None and past.chain[1].steps == 9
    write_outline(lineage, past.chain, past)
    assert read_past(lineage, ids).chain[1].steps == 9 and fsck(lineage).damage == []


def test_gc_keeps_the_one_that_a_step_reads_and_copy_none(lineage: Lineage, chain: list[Commit]) -> None:
    (newest,) = keys(lineage)
    write_outline(lineage, chain[: EVERY + 1], Past([]))
    assert len(keys(lineage)) == 2
    garbage = collect(lineage, minimum_age=0)
    assert (len(garbage.runs), garbage.commits, keys(lineage)) == (1, [], [newest])
    target = Lineage(lineage.store, "elsewhere")
    assert copy(lineage, target).problems == [] and keys(target) == []
    assert read_past(target, [commit.id for commit in chain]) == Past(chain)


def test_it_has_no_state_and_is_small(lineage: Lineage, chain: list[Commit]) -> None:
    known = read_outline(lineage, chain[2 * EVERY - 1].id)
    assert known is not None and all(not commit.blobs and not commit.memories for commit in known)
    assert read_outline(lineage, chain[0].id) is None
    assert known == [outline_of(commit) for commit in chain[: 2 * EVERY]] and chain[0].blobs

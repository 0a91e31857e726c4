"""What nothing needs goes, in an order that any interruption survives; everything else stays, to the byte."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.checkpointing.snapshot import load_commit
from orchestrator.errors import Claimed, CorruptCommit, StorageError
from orchestrator.lineage import layout
from orchestrator.lineage.claim import claimed
from orchestrator.lineage.commit import Commit
from orchestrator.lineage.lineage import Lineage
from orchestrator.maintenance.check_store import fsck
from orchestrator.maintenance.collect_garbage import collect
from orchestrator.tuning.trial_record import Records, TrialRecord
from tests.orchestrator.maintenance.lineages import age, everything, folder, grow, memory_ids, put_checkpoint


def blobs(lineage: Lineage, *commits: Commit) -> set[str]:
    return {sha256 for commit in commits for sha256 in lineage.read(commit.id).referenced()}


def stored(lineage: Lineage) -> set[str]:
    return {key.rpartition("/")[2] for key in lineage.store.list("digits/blobs/")}


def test_what_refs_reach_stays_and_the_rest_goes(lineage: Lineage) -> None:
    chain = grow(lineage, 3)
    champion = grow(lineage, 3, parent=chain[0], variant=1, ref="champion")
    trials = grow(lineage, 3, parent=chain[0], variant=2, ref=None)
    lone = grow(lineage, 2, variant=3, ref=None)
    orphan = lineage.put_blob(b"a run was killed before its commit")
    before = everything(lineage)
    planned = collect(lineage, minimum_age=0, dry_run=True)
    assert everything(lineage) == before
    done = collect(lineage, minimum_age=0)
    assert done == planned
    assert set(done.commits) == {commit.id for commit in trials + lone}
    assert orphan in done.blobs
    kept = [*chain, *champion]
    assert set(lineage.commits()) == {commit.id for commit in kept}
    assert stored(lineage) == blobs(lineage, *kept)
    after = everything(lineage)
    assert after == {key: before[key] for key in after}
    assert done.bytes == sum(len(data) for key, data in before.items() if key not in after)
    assert fsck(lineage).damage == []
    assert collect(lineage, minimum_age=0).bytes == 0


def test_what_is_young_stays_with_its_ancestors(tmp_path: Path) -> None:
    lineage = folder(tmp_path)
    old = grow(lineage, 2, ref=None)
    gone = grow(lineage, 2, variant=1, ref=None)
    old_orphan = lineage.put_blob(b"old")
    age(lineage)
    young = grow(lineage, 3, parent=old[1], ref=None)
    orphan = lineage.put_blob(b"young")
    done = collect(lineage)
    assert set(done.commits) == {commit.id for commit in gone}
    assert old_orphan in done.blobs and orphan not in done.blobs
    assert set(lineage.commits()) == {commit.id for commit in old + young}
    assert [problem for problem in fsck(lineage).damage if orphan not in problem.key] == []


def test_a_commit_whose_ref_was_not_moved_any_more_stays(tmp_path: Path) -> None:
    lineage = folder(tmp_path)
    chain = grow(lineage, 2)
    (last,) = grow(lineage, 3, parent=chain[1], ref=None)
    age(lineage)
    assert collect(lineage).commits == []
    assert lineage.exists(last.id)


def test_keep_leaves_the_records_of_old_commits_and_all_that_newer_ones_need(lineage: Lineage) -> None:
    chain = grow(lineage, 5)
    memory = memory_ids(lineage, chain[4])
    done = collect(lineage, keep=2, minimum_age=0)
    assert done.commits == []
    assert set(done.thinned) == {commit.id for commit in chain[:3]}
    assert stored(lineage) == blobs(lineage, *chain[3:])
    found = lineage.chain(chain[4].id)
    assert [commit.id for commit in found] == [commit.id for commit in chain]
    assert [commit.row for commit in found] == [commit.row for commit in chain]
    assert all(commit.thinned for commit in found[:3])
    assert memory_ids(lineage, chain[4]) == memory
    report = fsck(lineage)
    assert report.damage == []
    assert set(report.usable) == {chain[3].id, chain[4].id}
    with pytest.raises(StorageError, match="removed by `everlearn gc --keep`"):
        load_commit(None, lineage, found[0], optimizer="sgd")  # type: ignore[arg-type]
    assert collect(lineage, keep=2, minimum_age=0).thinned == []
    further = grow(lineage, 6, parent=lineage.read(chain[4].id))
    assert collect(lineage, keep=1, minimum_age=0).thinned == sorted(commit.id for commit in chain[3:])
    assert fsck(lineage).usable == [further[0].id]


def test_scratch_and_checkpoints(tmp_path: Path) -> None:
    lineage = folder(tmp_path)
    chain = grow(lineage, 2)
    finished = put_checkpoint(lineage, chain[1].id, [1])
    unfinished = put_checkpoint(lineage, "1" * 64, [1])
    lineage.store.put("digits/runs/ray-1/state.json", b"{}")
    Records(lineage, "s").write(TrialRecord(number=0))
    lineage.store.put("digits/notes.txt", b"mine")
    assert collect(lineage).runs == []
    age(lineage)
    young = "digits/runs/ray-2/state.json"
    lineage.store.put(young, b"{}")
    assert collect(lineage).runs == sorted([finished, "digits/runs/ray-1/state.json"])
    assert lineage.store.exists(young)
    age(lineage, 8 * 24 * 3600)
    assert collect(lineage).runs == sorted([unfinished, young])
    assert lineage.store.exists("digits/runs/tune-s/000000.json")
    assert lineage.store.exists("digits/notes.txt")


@pytest.mark.parametrize("purpose", ["run", "search"])
def test_beside_a_run_it_refuses_and_a_dry_run_does_not(purpose: Any, lineage: Lineage) -> None:
    grow(lineage, 1, ref=None)
    with claimed(lineage, purpose):
        before = everything(lineage)
        with pytest.raises(Claimed, match="is working on it"):
            collect(lineage, minimum_age=0)
        assert everything(lineage) == before
        assert len(collect(lineage, minimum_age=0, dry_run=True).commits) == 1


def test_damage_that_hides_what_is_needed_stops_it(tmp_path: Path) -> None:
    lineage = folder(tmp_path)
    chain = grow(lineage, 3)
    garbage = grow(lineage, 2, variant=1, ref=None)
    key = layout.commit_key("digits", chain[1].id)
    good = lineage.store.get(key)
    for damage in (lambda: lineage.store.put(key, b"junk"), lambda: lineage.store.delete(key)):
        damage()
        before = everything(lineage)
        with pytest.raises(CorruptCommit, match=r"nothing was removed(.|\n)*fsck"):
            collect(lineage, minimum_age=0)
        assert everything(lineage) == before
    lineage.store.put(key, good)
    # Damaged garbage is garbage, once it is old enough that nobody can be waiting for it.
    lineage.store.put(layout.commit_key("digits", garbage[0].id), b"junk")
    with pytest.raises(CorruptCommit, match="too young"):
        collect(lineage)
    assert set(collect(lineage, minimum_age=0).commits) == {commit.id for commit in garbage}
    assert fsck(lineage).damage == []


class Killed(Exception):
    """Stands for the end of the process."""


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_whatever_ends_it_only_whole_chains_are_left_and_another_does_the_rest(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as place:
        lineage = folder(Path(place))
        chain = grow(lineage, 4)
        variants = data.draw(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3)), max_size=3, unique=True))
        for parent, variant in variants:
            grow(lineage, 4, parent=chain[parent], variant=variant, ref=None)
        keep = data.draw(st.one_of(st.none(), st.integers(1, 4)))
        left = [data.draw(st.integers(0, 12))]

        def killing(call: Any) -> Any:
            def wrapped(key: str, *rest: Any) -> Any:
                if "/claims/" not in key:
                    if left[0] == 0:
                        raise Killed
                    left[0] -= 1
                return call(key, *rest)

            return wrapped

        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(lineage.store, "delete", killing(lineage.store.delete))
            inner.setattr(lineage.store, "compare_and_swap", killing(lineage.store.compare_and_swap))
            try:
                collect(lineage, keep=keep, minimum_age=0)
            except Killed:
                assert fsck(lineage).damage == []
        collect(lineage, keep=keep, minimum_age=0)
        report = fsck(lineage)
        assert report.damage == [] and report.unreferenced == []
        whole = {commit.id for commit in chain} if keep is None else {commit.id for commit in chain[-keep:]}
        assert whole <= set(report.usable)
        assert [commit.id for commit in lineage.chain(chain[3].id)] == [commit.id for commit in chain]

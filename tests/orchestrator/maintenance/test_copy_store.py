"""Copies are whole, verified, and resume where they were interrupted."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import Claimed, StorageError
from orchestrator.lineage import layout
from orchestrator.lineage.claim import claimed
from orchestrator.lineage.lineage import Lineage
from orchestrator.maintenance.check_store import fsck
from orchestrator.maintenance.collect_garbage import collect
from orchestrator.maintenance.copy_store import copy
from orchestrator.maintenance.forget_samples import forget
from orchestrator.storage.open_by_uri import open_store
from orchestrator.storage.store import Store
from tests.orchestrator.maintenance.lineages import (
    everything,
    folder,
    grow,
    memory_ids,
    occurs,
    put_checkpoint,
    sample_bytes,
)


def content(lineage: Lineage) -> dict[str, bytes]:
    """What a copy has to have; refs by what they stand for."""
    found = {key: data for key, data in everything(lineage).items() if "/runs/" not in key and "/refs/" not in key}
    return found | {name: ref.commit.encode() for name, ref in lineage.refs().items()}


@pytest.mark.parametrize("ways", ["folder folder", *[pytest.param(w, marks=pytest.mark.s3) for w in (
    "folder s3", "s3 folder", "s3 s3")]])  # fmt: skip
def test_in_any_direction(ways: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    def place(kind: str, name: str) -> Store:
        return open_store(str(tmp_path / name) if kind == "folder" else request.getfixturevalue("s3_uri") + f"/{name}")

    one, two = ways.split()
    source, target = Lineage(place(one, "a"), "digits"), Lineage(place(two, "b"), "digits")
    chain = grow(source, 3)
    grow(source, 2, parent=chain[0], variant=1, ref="champion")
    source.point("latest", chain[1].id)
    source.put_blob(b"orphan")
    put_checkpoint(source, "0" * 64, [1])
    told: list[Any] = []
    done = copy(source, target, progress=lambda *event: told.append(event))
    expected = {key: data for key, data in content(source).items() if data != b"orphan"}
    assert content(target) == expected
    assert (done.commits, done.refs, done.same, done.problems) == (4, 2, 0, [])
    assert done.blobs == len([key for key in expected if "/blobs/" in key])
    assert told[-1] == ("commits", 4, 4)
    assert fsck(target).damage == []
    again = copy(source, target)
    assert (again.commits, again.blobs, again.refs, again.bytes) == (0, 0, 0, 0)
    assert again.same == done.commits + done.blobs + done.refs
    # The source grows, and so does the copy.
    more = grow(source, 4, parent=chain[2])
    done = copy(source, target)
    assert done.commits == 1
    ref = target.ref("latest")
    assert ref is not None and ref.commit == more[0].id
    # The copy itself can be gone on with, and a ref that is ahead stays.
    grow(target, 5, parent=target.read(more[0].id))
    assert copy(source, target).kept == 1
    assert copy(target, source).commits == 1
    assert content(source).keys() >= content(target).keys()


def test_damage_stays_behind_with_all_that_builds_on_it(tmp_path: Path) -> None:
    source, target = folder(tmp_path / "a"), folder(tmp_path / "b")
    chain = grow(source, 4)
    side = grow(source, 3, parent=chain[0], variant=1, ref="champion")
    key = layout.blob_key("digits", chain[1].blobs["model"].sha256)
    source.store.put(key, b"junk")
    source.store.put(layout.commit_key("digits", side[1].id), b"junk")
    done = copy(source, target)
    assert set(target.commits()) == {chain[0].id, side[0].id}
    text = "\n".join(done.problems)
    for named in (key, side[1].id, chain[1].id[:12], chain[2].id[:12], "ref latest", "ref champion"):
        assert named in text
    assert target.refs() == {}
    assert fsck(target).damage == []


def test_damage_at_the_destination_is_repaired(tmp_path: Path) -> None:
    source, target = folder(tmp_path / "a"), folder(tmp_path / "b")
    chain = grow(source, 3)
    copy(source, target)
    target.store.put(layout.blob_key("digits", chain[2].blobs["model"].sha256), b"junk")
    target.store.delete(layout.blob_key("digits", chain[1].blobs["model"].sha256))
    target.store.put(layout.commit_key("digits", chain[0].id), b"junk")
    target.store.put("digits/refs/latest.json", b"junk")
    assert len(fsck(target).damage) == 4
    done = copy(source, target)
    assert (done.blobs, done.replaced, done.refs, done.problems) == (2, 1, 1, [])
    assert content(target) == content(source)


def test_what_the_destination_trained_itself_stays(tmp_path: Path) -> None:
    source, target = folder(tmp_path / "a"), folder(tmp_path / "b")
    grow(source, 3)
    theirs = grow(target, 2)
    before = {commit.id: target.read(commit.id) for commit in theirs}
    copy(source, target)
    assert {id_: target.read(id_) for id_ in before} == before
    assert fsck(target).damage == []
    other = grow(target, 4, parent=theirs[0], variant=2)
    done = copy(source, target)
    assert "of another history" in done.problems[0]
    ref = target.ref("latest")
    assert ref is not None and ref.commit == other[-1].id


def test_forgotten_samples_do_not_come_back(tmp_path: Path) -> None:
    source, target, backup = folder(tmp_path / "a"), folder(tmp_path / "b"), folder(tmp_path / "c")
    chain = grow(source, 3)
    copy(source, target)
    copy(source, backup)
    victim = memory_ids(source, chain[2])[0]
    forget(source, [victim])
    # From an old copy: refused.
    with pytest.raises(StorageError, match="samples were forgotten"):
        copy(backup, source)
    assert occurs(source, sample_bytes(victim)) == []
    # Into an old copy: its commits follow, gc removes what they needed.
    done = copy(source, target)
    assert done.replaced == sum(bool(source.read(id_).forgotten) for id_ in source.commits()) > 0
    collect(target, minimum_age=0)
    assert content(target) == content(source)
    assert occurs(target, sample_bytes(victim)) == []
    assert fsck(target).damage == []


def test_beside_a_run_at_the_destination_it_refuses(tmp_path: Path) -> None:
    source, target = folder(tmp_path / "a"), folder(tmp_path / "b")
    grow(source, 1)
    with claimed(source, "run"), claimed(target, "run"), pytest.raises(Claimed):
        copy(source, target)
    with claimed(source, "run"):
        assert copy(source, target).commits == 1


class Killed(Exception):
    """Stands for the end of the process."""


@settings(max_examples=25, deadline=None)
@given(at=st.integers(0, 40), calls=st.sets(st.sampled_from(["put", "compare_and_swap", "put_if_absent"]), min_size=1))
def test_whatever_ends_it_the_copy_is_whole_as_far_as_it_goes(at: int, calls: set[str]) -> None:
    with tempfile.TemporaryDirectory() as place:
        source, target = folder(Path(place) / "a"), folder(Path(place) / "b")
        chain = grow(source, 3)
        grow(source, 3, parent=chain[1], variant=1, ref="champion")
        forget(source, [memory_ids(source, chain[0])[0]])
        left = [at]

        def killing(call: Any) -> Any:
            def wrapped(key: str, *rest: Any) -> Any:
                if "/claims/" not in key:
                    if left[0] == 0:
                        raise Killed
                    left[0] -= 1
                return call(key, *rest)

            return wrapped

        with pytest.MonkeyPatch.context() as patch:
            for name in calls:
                patch.setattr(target.store, name, killing(getattr(target.store, name)))
            try:
                copy(source, target)
            except Killed:
                assert fsck(target).damage == []
        copy(source, target)
        assert content(target) == content(source)

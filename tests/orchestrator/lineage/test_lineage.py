"""The lineage in a store: order of writes, verification, races.

Covers: `orchestrator/lineage/write_commit.py`
"""

import hashlib
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from orchestrator.errors import CorruptBlob, CorruptCommit, MissingKey, RefConflict, StorageError
from orchestrator.lineage import layout
from orchestrator.lineage.lineage import Lineage, Ref
from orchestrator.storage.folder_store import FolderStore
from orchestrator.storage.open_by_uri import open_store
from orchestrator.storage.tensors import encode
from tests.orchestrator.lineage.chains import make_commit, write_chain

NAME = "split-digits"


def test_a_chain_is_read_back(lineage: Lineage) -> None:
    chain = write_chain(lineage, 3)
    ids = [commit.id for commit in chain]
    assert lineage.chain(ids[-1]) == chain and lineage.chain(ids[0]) == chain[:1]
    assert lineage.read(ids[1]) == chain[1]
    assert sorted(ids) == list(lineage.commits())
    assert lineage.blob(chain[1].blobs["model"].sha256) == b"model 1"
    assert all(lineage.exists(commit) for commit in ids) and not lineage.exists("0" * 64)


def test_the_first_to_write_a_commit_wins(lineage: Lineage) -> None:
    first = lineage.write(make_commit(0, None, {"model": b"one"}), [b"one"])
    other = make_commit(0, None, {"model": b"two"})
    assert other.id == first.id and other != first
    assert lineage.write(other, [b"two"]) == first
    assert lineage.read(first.id) == first


def test_longest(lineage: Lineage) -> None:
    chain = write_chain(lineage, 12)
    ids = [commit.id for commit in chain]
    assert lineage.longest(ids) == 12 and lineage.leading(ids) == chain
    assert lineage.longest([]) == 0
    assert lineage.longest([*ids, "0" * 64]) == 12
    assert lineage.longest(["0" * 64, *ids]) == 0
    assert lineage.longest(ids[1:]) == 0, "the first has a parent that is not there"
    assert lineage.longest([*ids[:4], *ids[5:]]) == 4, "a link is broken"
    lineage.store.delete(layout.commit_key(NAME, ids[7]))
    assert lineage.longest(ids) == 7


def test_a_chain_that_was_read_before_the_claim_stands_if_its_last_commit_does(lineage: Lineage) -> None:
    chain = write_chain(lineage, 10)
    ids, key = [commit.id for commit in chain], layout.commit_key(NAME, chain[6].id)
    assert lineage.leading(ids, chain[:7], anew=True) == chain
    rewritten = chain[6].revised(steps=chain[6].steps + 1)
    lineage.store.put(key, rewritten.to_json())
    assert lineage.leading(ids, chain[:7], anew=True) == [*chain[:6], rewritten, *chain[7:]]
    lineage.store.delete(key)
    assert lineage.leading(ids, chain[:7], anew=True) == chain[:6]


def test_blobs_that_are_stored_are_not_sent_again(lineage: Lineage, monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"x" * 1000
    sent: list[str] = []
    put = lineage.store.put
    monkeypatch.setattr(lineage.store, "put", lambda key, data: (sent.append(key), put(key, data)))
    sha256 = lineage.put_blob(data)
    assert sent == [f"{NAME}/blobs/{sha256}"]
    first = lineage.write(make_commit(0, None, {"model": data}), {sha256: data})
    lineage.write(make_commit(1, first, {"model": data}))
    assert lineage.put_blob(data) == sha256 and len(sent) == 1


def test_a_stored_blob_of_another_size_is_repaired(lineage: Lineage) -> None:
    sha256 = lineage.put_blob(b"complete")
    lineage.store.put(layout.blob_key(NAME, sha256), b"comp")
    with pytest.raises(CorruptBlob):
        lineage.blob(sha256)
    lineage.put_blob(b"complete")
    assert lineage.blob(sha256) == b"complete"


def test_a_commit_is_not_written_without_its_blobs(lineage: Lineage) -> None:
    commit = make_commit(0, None, {"model": b"never stored"})
    with pytest.raises(CorruptBlob, match=f"{commit.blobs['model'].sha256}.*of commit {commit.id[:12]}.*missing"):
        lineage.write(commit)
    wrong = make_commit(0, None, {}, blobs={"model": {"sha256": hashlib.sha256(b"x").hexdigest(), "bytes": 2}})
    with pytest.raises(CorruptBlob, match="size"):
        lineage.write(wrong, [b"x"])
    lineage.put_blob(b"x")
    with pytest.raises(CorruptBlob, match="1 bytes instead of 2"):
        lineage.write(wrong)
    assert list(lineage.commits()) == []


@pytest.mark.parametrize("damage", [b"", b"model", b"model 0 and more", b"Model 0"])
def test_damaged_blobs_are_named_with_their_commit(lineage: Lineage, damage: bytes) -> None:
    commit = write_chain(lineage, 1)[0]
    sha256 = commit.blobs["model"].sha256
    key = layout.blob_key(NAME, sha256)
    lineage.store.put(key, damage)
    with pytest.raises(CorruptBlob) as caught:
        lineage.blob(sha256, commit=commit.id)
    message = str(caught.value)
    assert f"{lineage.store.uri}/{key}" in message and commit.id[:12] in message and "Restore" in message
    assert len(message.splitlines()) <= 3
    lineage.store.delete(key)
    with pytest.raises(CorruptBlob, match="it is missing"):
        lineage.blob(sha256, commit=commit.id)


def test_tensors(lineage: Lineage) -> None:
    weights = {"w": torch.arange(6.0).reshape(2, 3)}
    sha256 = lineage.put_blob(encode(weights))
    assert torch.equal(lineage.tensors(sha256, like=weights)["w"], weights["w"])
    with pytest.raises(CorruptBlob, match=rf"{sha256}: blob of commit abc.*expected torch.float32 \[3\]"):
        lineage.tensors(sha256, commit="abc", like={"w": torch.zeros(3)})
    nothing = lineage.put_blob(b"these are no tensors")
    with pytest.raises(CorruptBlob, match=nothing):
        lineage.tensors(nothing)


def test_damaged_commits_are_named(lineage: Lineage) -> None:
    chain = write_chain(lineage, 3)
    ids = [commit.id for commit in chain]
    key = layout.commit_key(NAME, ids[1])
    data = lineage.store.get(key)
    readers: list[Callable[[], Any]] = [
        lambda: lineage.read(ids[1]),
        lambda: lineage.chain(ids[2]),
        lambda: lineage.longest(ids),
        lambda: lineage.write(chain[1]),
    ]
    for damage in (b"", b"[]", data[:-1], data.replace(b'"samples":100', b'"samples":101')):
        lineage.store.put(key, damage)
        for reader in readers:
            with pytest.raises(CorruptCommit, match=ids[1]):
                reader()
    lineage.store.put(key, lineage.store.get(layout.commit_key(NAME, ids[0])))
    with pytest.raises(CorruptCommit, match="wrong name"):
        lineage.chain(ids[2])
    lineage.store.delete(key)
    with pytest.raises(StorageError, match=f"{ids[1]}.*parent of commit {ids[2][:12]} is lost"):
        lineage.chain(ids[2])
    with pytest.raises(MissingKey, match=ids[1]):
        lineage.chain(ids[1])


def test_find(lineage: Lineage) -> None:
    ids = [commit.id for commit in write_chain(lineage, 3)]
    assert [lineage.find(commit[:8]) for commit in ids] == [[commit] for commit in ids]
    assert lineage.find(ids[0]) == [ids[0]]
    for wrong in ("", "abc", "0" * 63 + "g", "../x", ids[0][:8].upper() + "!", "f" * 65):
        assert lineage.find(wrong) == []


def test_refs(lineage: Lineage) -> None:
    one, two = (commit.id for commit in write_chain(lineage, 2))
    assert lineage.ref("latest") is None and lineage.refs() == {}
    assert lineage.move_ref("latest", one, None) == Ref(one, 1)
    assert lineage.move_ref("latest", two, 1) == Ref(two, 2) == lineage.ref("latest")
    assert lineage.point("champion", one) == Ref(one, 1)
    assert lineage.point("champion", one) == Ref(one, 1), "nothing to do"
    assert lineage.point("champion", two) == Ref(two, 2)
    assert lineage.refs() == {"champion": Ref(two, 2), "latest": Ref(two, 2)}


def test_a_ref_that_was_moved_in_between(lineage: Lineage) -> None:
    one, two = (commit.id for commit in write_chain(lineage, 2))
    for expected in (1, 0):
        with pytest.raises(RefConflict, match="another run moved it"):
            lineage.move_ref("latest", one, expected)
    lineage.move_ref("latest", one, None)
    for expected in (None, 0, 2):
        with pytest.raises(RefConflict, match=r"refs/latest.json.*\n.*reused"):
            lineage.move_ref("latest", two, expected)
    assert lineage.ref("latest") == Ref(one, 1)


def test_refs_never_stand_for_nothing(lineage: Lineage) -> None:
    with pytest.raises(MissingKey, match="no such commit"):
        lineage.move_ref("latest", "0" * 64, None)
    with pytest.raises(StorageError, match="ref's name"):
        lineage.point("../latest", write_chain(lineage, 1)[0].id)


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"commit": "x", "generation": 1}', b'{"commit": 1, "generation": 1}', b"\xff"]
    + [
        b'{"commit": "%s", "generation": %s}' % (b"0" * 64, wrong)
        for wrong in (b"0", b"-1", b"true", b"1.0", b"9" * 30)
    ],
)
def test_damaged_refs(lineage: Lineage, data: bytes) -> None:
    lineage.store.put(layout.ref_key(NAME, "latest"), data)
    for read in (lambda: lineage.ref("latest"), lineage.refs):
        with pytest.raises(CorruptCommit, match=r"refs/latest.json: this ref is damaged"):
            read()


def test_pipelines_do_not_see_each_other(lineage: Lineage) -> None:
    commit = write_chain(lineage, 1)[0]
    other = Lineage(lineage.store, "other")
    assert not other.exists(commit.id) and list(other.commits()) == []
    with pytest.raises(StorageError, match="pipeline's name"):
        Lineage(lineage.store, "../other")


# Processes that race and are killed


def _write_chain_process(uri: str, queue: Any, start: Any) -> None:
    lineage = Lineage(open_store(uri), NAME)
    start.wait()
    chain = write_chain(lineage, 4)
    for commit in chain:
        lineage.point("latest", commit.id)
    queue.put([commit.checksum for commit in chain])


def test_two_writers_of_one_chain_agree(lineage: Lineage) -> None:
    context = multiprocessing.get_context("fork")
    queue, start = context.Queue(), context.Barrier(2)
    processes = [context.Process(target=_write_chain_process, args=(lineage.store.uri, queue, start)) for _ in range(2)]
    for process in processes:
        process.start()
    # `created` differs between two writers: equal checksums mean that the second took over the first's commits.
    one, two = (queue.get(timeout=120) for _ in processes)
    for process in processes:
        process.join(60)
    assert one == two
    latest = lineage.ref("latest")
    assert latest is not None and len(lineage.chain(latest.commit)) == 4


def _write_for_ever(uri: str, seed: int, begun: Any) -> None:
    lineage = Lineage(open_store(uri), NAME)
    parent = None
    for index in range(10_000):
        blobs = {name: f"{seed} {index} {name} ".encode() * 20_000 for name in ("model", "optimizer")}
        parent = lineage.write(make_commit(index, parent, blobs, spec={"seed": seed}), blobs.values())
        lineage.point("latest", parent.id)
        begun.set()


def test_a_killed_writer_leaves_a_lineage_that_is_whole(lineage: Lineage) -> None:
    for seed in range(4):
        context = multiprocessing.get_context("fork")
        begun = context.Event()
        process = context.Process(target=_write_for_ever, args=(lineage.store.uri, seed, begun))
        process.start()
        assert begun.wait(60)
        time.sleep(random.Random(seed).random() / 5)
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        for found in lineage.commits():
            commit = lineage.read(found)
            for record in commit.blobs.values():
                assert len(lineage.blob(record.sha256)) == record.bytes
        latest = lineage.ref("latest")
        assert latest is not None and lineage.chain(latest.commit)[-1].spec == {"seed": seed}


class _Killed(Exception):
    pass


class KilledStore(FolderStore):
    """Is killed before its n-th write."""

    writes_left = 0

    def _count(self) -> None:
        if self.writes_left == 0:
            raise _Killed
        self.writes_left -= 1

    def put(self, key: str, data: bytes) -> None:
        self._count()
        super().put(key, data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        self._count()
        return super().put_if_absent(key, data)

    def compare_and_swap(self, key: str, data: bytes, version: str | None) -> bool:
        if version is not None:
            self._count()
        return super().compare_and_swap(key, data, version)


def test_a_process_killed_in_between_leaves_no_half_state(tmp_path: Path) -> None:
    blobs = {"model": b"m", "optimizer": b"o", "strategy.ewc": b"e"}
    for writes in range(6):
        root = tmp_path / str(writes)
        store = KilledStore(root)
        store.writes_left = writes
        interrupted, whole = Lineage(store, NAME), Lineage(FolderStore(root), NAME)
        commit = make_commit(0, None, blobs)
        try:
            interrupted.write(commit, blobs.values())
            interrupted.point("latest", commit.id)
        except _Killed:
            assert writes < 5
        if whole.exists(commit.id):
            assert all(whole.blob(record.sha256) for record in whole.read(commit.id).blobs.values())
        latest = whole.ref("latest")
        assert latest is None or whole.exists(latest.commit)
        # Writing again completes it.
        whole.write(commit, blobs.values())
        assert whole.point("latest", commit.id) == Ref(commit.id, 1)

"""Forgotten samples are gone: from memories, shards, checkpoints, and from everything that comes later."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import Claimed
from orchestrator.lineage.claim import claimed
from orchestrator.lineage.forgotten_ids import read_tombstones
from orchestrator.lineage.lineage import Lineage
from orchestrator.maintenance.check_store import fsck
from orchestrator.maintenance.forget_samples import forget
from orchestrator.storage.folder_store import INTERNAL, FolderStore
from strategies.memory.reservoir import sample_keys
from tests.orchestrator.maintenance.lineages import (
    SAMPLES,
    everything,
    folder,
    grow,
    memory_ids,
    occurs,
    put_checkpoint,
    sample_bytes,
    samples,
)


def stored_ids(lineage: Lineage) -> set[int]:
    """Ids in any shard that is stored."""
    found: set[int] = set()
    for key in lineage.store.list("digits/blobs/"):
        tensors = lineage.tensors(key.rpartition("/")[2])
        found.update(tensors["ids"].tolist() if "ids" in tensors else [])
    return found


def test_the_bytes_are_gone_and_nothing_else_is(lineage: Lineage) -> None:
    chain = grow(lineage, 4)
    side = grow(lineage, 4, parent=chain[1], variant=1, ref=None)
    victims = [memory_ids(lineage, chain[0])[0], memory_ids(lineage, chain[3])[-1]]
    bystander = next(i for i in memory_ids(lineage, chain[0]) if i not in victims)
    orphan = lineage.put_blob(_shard_of(victims[0]))
    with_victim = put_checkpoint(lineage, "0" * 64, [victims[0], bystander])
    without = put_checkpoint(lineage, "1" * 64, [bystander])
    everyone = stored_ids(lineage)
    assert occurs(lineage, sample_bytes(victims[0])) and occurs(lineage, sample_bytes(victims[1]))

    done = forget(lineage, [*victims, 999_999])

    for victim in victims:
        assert occurs(lineage, sample_bytes(victim)) == []
    assert stored_ids(lineage) == everyone - set(victims)
    assert (done.ids, done.samples, done.unreadable) == (3, 2, [])
    assert orphan in done.blobs
    assert done.checkpoints == [with_victim] and lineage.store.exists(without)
    report = fsck(lineage)
    assert report.damage == [] and report.unreferenced == []
    for before in [*chain, *side]:
        now = lineage.read(before.id)
        assert bool(now.forgotten) == (before.id in done.commits)
        assert now.model_copy(update={"memories": {}, "forgotten": (), "checksum": ""}) == before.model_copy(
            update={"memories": {}, "checksum": ""}
        )
        assert not set(victims) & set(memory_ids(lineage, before))
    assert lineage.read(chain[3].id).forgotten[0].samples == 2


def _shard_of(id_: int) -> bytes:
    from orchestrator.storage.tensors import encode

    tensors = {"ids": torch.tensor([id_]), "targets": torch.tensor([0])}
    return encode({**tensors, "inputs": torch.frombuffer(bytearray(sample_bytes(id_)), dtype=torch.uint8)[None]})


def test_the_next_keys_of_the_stored_shard_move_up(tmp_path: Path) -> None:
    lineage = folder(tmp_path)
    chain = grow(lineage, 2)
    first = chain[1].memories["replay"].shards[0]
    ids = lineage.tensors(first.sha256)["ids"]
    by_key = ids[torch.from_numpy(sample_keys(ids, 0).argsort())].tolist()
    kept = first.lengths["all"]
    assert 2 <= kept < len(by_key), "the shard holds more than the memory"
    forget(lineage, [by_key[0], by_key[1]])
    # The newest commit has as many of them as before, or all that are left; the oldest has no more to take.
    assert set(memory_ids(lineage, chain[1])) & set(by_key) == set(by_key[2 : kept + 2])
    assert set(memory_ids(lineage, chain[0])) == set(by_key[2:])


def test_a_whole_experience(lineage: Lineage) -> None:
    chain = grow(lineage, 3, policy="class-balanced")
    done = forget(lineage, range(1000, 1000 + SAMPLES))
    assert {shard.experience for shard in lineage.read(chain[2].id).memories["replay"].shards} == {0, 2}
    assert lineage.read(chain[0].id) == chain[0]
    assert done.commits == sorted([chain[1].id, chain[2].id])
    assert fsck(lineage).damage == []


def test_a_class_that_is_gone_leaves_no_length_behind(tmp_path: Path) -> None:
    lineage = folder(tmp_path)
    chain = grow(lineage, 2, policy="class-balanced")
    held = memory_ids(lineage, chain[1], "class-balanced")
    even = [i for i in range(SAMPLES) if i % 2 == 0]
    forget(lineage, even)
    shard = lineage.read(chain[1].id).memories["replay"].shards[0]
    assert list(shard.lengths) == ["1"]
    now = memory_ids(lineage, chain[1], "class-balanced")
    assert set(now) >= set(held) - set(even) and not set(now) & set(even)


def test_twice_is_once_and_other_ids_add_up(lineage: Lineage) -> None:
    chain = grow(lineage, 2)
    one, two = memory_ids(lineage, chain[1])[:2]
    forget(lineage, [one])
    before = everything(lineage)
    again = forget(lineage, [one])
    assert (again.samples, again.commits, again.blobs) == (0, [], [])
    assert forget(lineage, []).commits == []
    assert everything(lineage) == before
    forget(lineage, [two])
    assert [record.samples for record in lineage.read(chain[1].id).forgotten] == [1, 1]
    assert read_tombstones(lineage).among([one, two, 5_000_000]) == [one, two]


def test_the_ids_themselves_are_not_kept(tmp_path: Path) -> None:
    lineage = folder(tmp_path)
    grow(lineage, 1)
    id_ = 7_777_777_777_777_777
    forget(lineage, [id_])
    for needle in (str(id_).encode(), id_.to_bytes(8, "little")):
        assert occurs(lineage, needle) == []


def test_beside_a_run_it_refuses(lineage: Lineage) -> None:
    grow(lineage, 1)
    before = everything(lineage)
    with claimed(lineage, "run"), pytest.raises(Claimed):
        forget(lineage, [1])
    assert everything(lineage) == before


def test_what_crashed_writers_left_of_it_is_gone_too(tmp_path: Path) -> None:
    lineage = folder(tmp_path)
    chain = grow(lineage, 1)
    victim = memory_ids(lineage, chain[0])[0]
    assert isinstance(lineage.store, FolderStore)
    left = lineage.store.root / INTERNAL / "dead.tmp"
    left.write_bytes(_shard_of(victim)[:-1])
    forget(lineage, [victim])
    assert not left.exists()


@pytest.mark.s3
def test_older_versions_and_unfinished_uploads_in_s3_are_gone_too(s3_uri: str) -> None:
    import boto3

    from orchestrator.storage.open_by_uri import open_store

    bucket = s3_uri.removeprefix("s3://")
    client = boto3.client("s3")
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    lineage = Lineage(open_store(s3_uri), "digits")
    chain = grow(lineage, 2)
    victim = memory_ids(lineage, chain[1])[0]
    # Deleted long ago, and still there: a checkpoint, and the parts of an upload.
    lineage.store.delete(put_checkpoint(lineage, "0" * 64, [victim]))
    begun = client.create_multipart_upload(Bucket=bucket, Key="digits/blobs/part")["UploadId"]
    client.upload_part(Bucket=bucket, Key="digits/blobs/part", UploadId=begun, PartNumber=1, Body=sample_bytes(victim))
    other = client.create_multipart_upload(Bucket=bucket, Key="other/blobs/part")["UploadId"]
    forget(lineage, [victim])
    versions = client.list_object_versions(Bucket=bucket, Prefix="digits/")
    assert versions.get("DeleteMarkers", []) == []
    for version in versions["Versions"]:
        body = client.get_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])["Body"].read()
        assert sample_bytes(victim) not in body
    uploads = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    assert [upload["UploadId"] for upload in uploads] == [other]
    assert fsck(lineage).damage == []
    client.abort_multipart_upload(Bucket=bucket, Key="other/blobs/part", UploadId=other)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    for version in client.list_object_versions(Bucket=bucket)["Versions"]:
        client.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])


def test_damage_is_said_and_the_rest_is_done(tmp_path: Path) -> None:
    lineage = folder(tmp_path)
    chain = grow(lineage, 3)
    victim = next(i for i in memory_ids(lineage, chain[2]) if i >= 2000)
    other = chain[2].memories["replay"].shards[0]
    key = f"digits/blobs/{other.sha256}"
    lineage.store.put(key, b"junk")
    lineage.store.put(f"digits/commits/{'0' * 64}.json", b"junk")
    done = forget(lineage, [victim])
    assert done.unreadable == [key, f"digits/commits/{'0' * 64}.json"]
    assert occurs(lineage, sample_bytes(victim)) == []


class Killed(Exception):
    """Stands for the end of the process."""


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_whatever_ends_it_running_it_again_finishes(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as place:
        lineage, reference = folder(Path(place) / "a"), folder(Path(place) / "b")
        victims = data.draw(st.sets(st.integers(0, SAMPLES - 1), min_size=1, max_size=8))
        victims |= data.draw(st.sets(st.integers(1000, 999 + SAMPLES), max_size=8))
        for each in (lineage, reference):
            grow(each, 3)
        forget(reference, victims)
        left = [data.draw(st.integers(0, 14))]

        def killing(call: Any) -> Any:
            def wrapped(key: str, *rest: Any) -> Any:
                if "/claims/" not in key:
                    if left[0] == 0:
                        raise Killed
                    left[0] -= 1
                return call(key, *rest)

            return wrapped

        with pytest.MonkeyPatch.context() as patch:
            for name in ("delete", "compare_and_swap", "put", "purge"):
                patch.setattr(lineage.store, name, killing(getattr(lineage.store, name)))
            try:
                forget(lineage, victims)
            except Killed:
                assert [d for d in fsck(lineage).damage if "to be forgotten" not in d.problem] == []
        tombstones = read_tombstones(lineage)
        # If it came far enough to remember what it has to do, the ids need not be given again.
        forget(lineage, [] if tombstones else victims)
        assert fsck(lineage).damage == []
        for victim in victims:
            assert occurs(lineage, sample_bytes(victim)) == []
        ids = sorted(lineage.commits())
        assert ids == sorted(reference.commits())
        assert [lineage.read(i).memories for i in ids] == [reference.read(i).memories for i in ids]
        assert [sum(r.samples for r in lineage.read(i).forgotten) for i in ids] == [
            sum(r.samples for r in reference.read(i).forgotten) for i in ids
        ]


def test_samples_are_what_they_seem() -> None:
    assert samples(1)["inputs"][3].numpy().tobytes() == sample_bytes(1003)


@pytest.mark.s3
def test_what_an_object_lock_keeps_is_a_debt(s3_server: object) -> None:
    """The cause is said, fsck shows it, and a later call pays."""
    import time
    import uuid
    from datetime import UTC, datetime, timedelta

    import boto3

    from orchestrator.errors import Locked
    from orchestrator.storage.open_by_uri import open_store

    client, bucket = boto3.client("s3"), f"locked-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    lineage = Lineage(open_store(f"s3://{bucket}"), "digits")
    chain = grow(lineage, 2)
    victim = memory_ids(lineage, chain[1])[0]
    until = datetime.now(UTC) + timedelta(seconds=12)
    for key in lineage.store.list("digits/blobs/"):
        client.put_object_retention(Bucket=bucket, Key=key, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until})
    with pytest.raises(Locked, match="object lock"):
        forget(lineage, [victim])
    assert [damage.key for damage in fsck(lineage).damage] == ["digits/debt.json"]
    assert fsck(lineage).unknown == []
    time.sleep(max(0.0, (until - datetime.now(UTC)).total_seconds()) + 2)
    forget(lineage, [])
    assert fsck(lineage).damage == []
    for version in client.list_object_versions(Bucket=bucket, Prefix="digits/blobs/")["Versions"]:
        body = client.get_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])["Body"].read()
        assert sample_bytes(victim) not in body

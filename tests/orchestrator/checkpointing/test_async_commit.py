"""Commits that are written while the next experience trains."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from orchestrator.checkpointing.async_commit import Committer
from orchestrator.checkpointing.snapshot import Snapshot
from orchestrator.errors import RefConflict
from orchestrator.events import CommitWritten, Event
from orchestrator.lineage.commit import commit_id
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import PlannedCommit
from tests.orchestrator.maintenance.lineages import folder, put_checkpoint


def snapshots(count: int) -> list[Snapshot]:
    made: list[Snapshot] = []
    for index in range(count):
        parent = made[-1].planned.id if made else None
        planned = PlannedCommit(commit_id(parent=parent, fingerprint=f"{index}", spec={}), parent, f"{index}", {})
        experience = {"index": index, "task": index, "classes": [index], "fingerprint": f"{index}", "samples": 1}
        made.append(Snapshot(planned, experience, {"model": {"w": torch.full((2,), float(index))}}, {}))
    return made


def test_one_after_another_and_the_ref_with_them(tmp_path: Path) -> None:
    lineage, events = folder(tmp_path), list[Event]()
    made = snapshots(3)
    with Committer(lineage, "latest", events.append) as committer:
        for snapshot in made:
            committer.submit(snapshot)
    ids = [snapshot.planned.id for snapshot in made]
    written = [event for event in events if isinstance(event, CommitWritten)]
    assert written == events and [event.commit["id"] for event in written] == ids
    assert all(event.upload is not None and event.upload >= 0 for event in written)
    ref = lineage.ref("latest")
    assert ref is not None and (ref.commit, ref.generation) == (ids[-1], 3)
    assert [commit.id for commit in lineage.chain(ids[-1])] == ids


def test_a_commit_removes_its_checkpoints(tmp_path: Path) -> None:
    lineage, (one,) = folder(tmp_path), snapshots(1)
    put_checkpoint(lineage, one.planned.id, [1])
    other = put_checkpoint(lineage, "f" * 64, [1])
    with Committer(lineage, None, lambda event: None) as committer:
        committer.submit(one)
    assert list(lineage.store.list("digits/runs/")) == [other]
    assert lineage.ref("latest") is None


def test_ranks_that_leave_the_writing_to_another_write_nothing(tmp_path: Path) -> None:
    lineage = folder(tmp_path)
    with Committer(lineage, "latest", lambda event: pytest.fail("written"), write=False) as committer:
        committer.submit(snapshots(1)[0])
    assert list(lineage.store.list()) == []


def test_what_could_not_be_written_is_raised_at_the_next_or_at_the_end(tmp_path: Path) -> None:
    made = snapshots(2)

    def moved_by_another(lineage: Lineage, committer: Committer) -> None:
        committer.submit(made[0])
        committer.wait()
        lineage.move_ref("latest", made[0].planned.id, 1)
        committer.submit(made[1])

    lineage = folder(tmp_path / "end")
    with pytest.raises(RefConflict), Committer(lineage, "latest", lambda event: None) as committer:
        moved_by_another(lineage, committer)
    lineage = folder(tmp_path / "next")
    with Committer(lineage, "latest", lambda event: None) as committer:
        moved_by_another(lineage, committer)
        with pytest.raises(RefConflict):
            committer.wait()


def test_an_error_of_the_training_is_the_news_and_what_was_begun_is_finished(tmp_path: Path) -> None:
    lineage, (one,) = folder(tmp_path), snapshots(1)
    begun, go_on = threading.Event(), threading.Event()

    def tell(event: dict[str, Any]) -> None:
        begun.set()
        assert go_on.wait(60)

    with pytest.raises(ZeroDivisionError), Committer(lineage, "latest", tell) as committer:
        committer.submit(one)
        assert begun.wait(60)
        go_on.set()
        raise ZeroDivisionError
    assert lineage.exists(one.planned.id) and lineage.stands("latest", one.planned.id)

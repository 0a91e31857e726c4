"""Steps over real files whose labels come later: whatever vanishes or is killed, the chain is that of the log."""

from __future__ import annotations

import itertools
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.step import lines
from orchestrator.maintenance.check_store import fsck
from orchestrator.maintenance.collect_garbage import collect
from orchestrator.maintenance.copy_store import copy
from orchestrator.maintenance.forget_samples import forget
from orchestrator.storage.open_by_uri import open_store
from orchestrator.updates import admission_log, run_step
from orchestrator.updates.admission_log import AdmissionLog, read_admissions
from orchestrator.updates.admitted_stream import stream_of
from orchestrator.updates.label_blobs import read_pairs
from orchestrator.updates.run_step import StepResult
from orchestrator.updates.source_decisions import decide_on
from orchestrator.updates.stream_metrics import stream_samples
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.schema import Pipeline
from tests.orchestrator.updates import arrivals
from tests.orchestrator.updates.arrivals import KillableStore, Killed, contents, lineage_of, pipeline_of, step
from tests.orchestrator.updates.label_files import DAY, MORE, bring, delayed, label


def test_labels_are_joined_by_id_whatever_becomes_of_their_files(tmp_path: Path) -> None:
    pipeline = delayed(tmp_path)
    bring(tmp_path, "b", range(40))
    bring(tmp_path, "a", range(40, 80))
    first = step(pipeline)
    assert (first.outcome, first.waiting, first.unlabelled, first.experiences) == ("admitted", 2, 80, 0)
    found = stream_samples(pipeline, lineage_of(pipeline), first, 0.0)
    assert (found["waiting_files"], found["unlabelled_rows"]) == ([({}, 2)], [({}, 80)])
    assert lines(first, "sources")[-1] == "arriving: nothing to train, 2 files waiting for 80 labels to come"
    with pytest.raises(PipelineError, match="there is no experience yet: the files that were admitted wait for labels"):
        stream_of(pipeline)
    label(tmp_path, "one", range(30, 60))
    assert step(pipeline).outcome == "admitted"
    shutil.rmtree(tmp_path / "labels")
    label(tmp_path, "two", range(10))
    label(tmp_path, "three", range(60, 80))
    second = step(pipeline)
    assert (second.trained, second.waiting) == (1, 1)
    label(tmp_path, "two", range(30))  # it has grown
    assert step(pipeline).trained == 1
    shutil.rmtree(tmp_path / "labels")
    stream = stream_of(pipeline)
    for experience, ids in zip(stream, (range(40, 80), range(40)), strict=True):
        both = [experience.train, experience.test]
        pairs = {
            id_: target for part in both for id_, target in zip(part.ids.tolist(), part.targets.tolist(), strict=True)
        }
        assert pairs == {id_: id_ % 2 for id_ in ids}
    assert fsck(lineage_of(pipeline)).damage == []


def test_what_waits_is_not_lost_when_the_pipeline_file_leaves_mature_out(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    bring(tmp_path, "a", range(40))
    step(delayed(tmp_path))
    without = step(pipeline_of(tmp_path, ", id: key"))
    assert [(file.key, file.kind) for file in without.quarantined] == [("a.npz", "unreadable")]
    decide_on(delayed(tmp_path), "release", ["a.npz"])
    assert step(delayed(tmp_path)).unlabelled == 40


def test_a_step_that_is_killed_anywhere_and_run_again_is_an_undisturbed_one(
    tmp_path: Path, opened: Callable[..., KillableStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before every write of a step that admits a file whose time is over and one whose labels came, and again.

    Before every write of the training that follows: test_run_step.
    """
    monkeypatch.setattr(admission_log, "utc_now", lambda: "2026-01-01T00:00:00.000Z")
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # the machine stays up
    begun = tmp_path / "begun"
    (begun / "in").mkdir(parents=True)
    bring(begun, "b", range(40))
    bring(begun, "c", range(100, 140))
    label(begun, "one", range(20, 110))
    admit(delayed(begun))
    bring(begun, "old", range(40, 80), age=8 * DAY)
    label(begun, "two", range(20))
    label(begun, "wrong", range(10), other=1)
    expected: dict[str, Any] = {}
    writes = 0
    folder = tmp_path / "here"
    for number in itertools.count(0):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(begun, folder)
        pipeline = delayed(folder)
        store = opened(pipeline.storage, number)
        if number == 0:
            undisturbed = admit(pipeline)
            assert (undisturbed.experiences, undisturbed.waiting, len(undisturbed.quarantined)) == (2, 1, 1)
            expected, writes = contents(pipeline), store.writes
            continue
        # A claim that could not be released is no error.
        with suppress(Killed):
            admit(pipeline)
        assert store.killed
        opened(pipeline.storage)
        assert admit(pipeline).experiences == 2
        assert contents(pipeline) == expected, number
        if number == writes:
            break
    assert writes > 10


def admit(pipeline: Pipeline) -> StepResult:
    """A step that is killed before it trains."""
    return run_step.run_step(pipeline, train=lambda pipeline: (0, "0" * 64))


def test_two_steps_at_once_train_once(tmp_path: Path) -> None:
    pipeline = delayed(tmp_path)
    bring(tmp_path, "a", range(40))
    step(pipeline)
    label(tmp_path, "one", range(40))
    gate, results = threading.Barrier(2), list[StepResult]()

    def one() -> None:
        gate.wait()
        results.append(step(pipeline))

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(result.trained for result in results) <= 1
    step(pipeline)
    assert len(list(lineage_of(pipeline).commits())) == 1
    assert len(list(AdmissionLog(lineage_of(pipeline)).records())) == 2


def test_idle_steps_write_nothing_and_read_no_labels(tmp_path: Path, opened: Callable[..., KillableStore]) -> None:
    pipeline = delayed(tmp_path)
    costs = []
    for number in range(3):
        bring(tmp_path, str(number), range(100 * number, 100 * number + 40))
        label(tmp_path, str(number), range(100 * number, 100 * number + 20))
        step(pipeline)
        store = opened(pipeline.storage)
        assert step(pipeline).outcome == "nothing-new"
        costs.append((store.reads, store.writes))
    assert costs == [costs[0]] * 3 and costs[0][1] == 0


def test_care_of_the_store_knows_ids_and_labels(tmp_path: Path) -> None:
    pipeline = delayed(tmp_path)
    bring(tmp_path, "a", range(40))
    bring(tmp_path, "b", range(100, 140))
    label(tmp_path, "one", range(120))
    step(pipeline)
    lineage = lineage_of(pipeline)
    forget(lineage, [3, 105])
    state = read_admissions(lineage)
    assert state is not None
    held = {id_ for sha256 in state.label_blobs() for id_ in read_pairs(lineage, sha256)[0].tolist()}
    assert held == set(range(140)) - {3, 105}
    collect(lineage, minimum_age=0)
    assert (fsck(lineage).damage, fsck(lineage).unreferenced) == ([], [])
    there = delayed(tmp_path).model_copy(update={"storage": str(tmp_path / "copy")})
    copy(lineage, lineage_of(there))
    assert (
        fsck(lineage_of(there)).damage == [] and AdmissionLog(lineage_of(there)).read() == AdmissionLog(lineage).read()
    )
    # What is to be forgotten is waited for no longer, and is in no experience.
    label(tmp_path, "two", range(120, 140))
    assert step(pipeline).trained == 1
    last = stream_of(pipeline)[1]
    assert {*last.train.ids.tolist(), *last.test.ids.tolist()} == set(range(100, 140)) - {105}
    assert 3 not in stream_of(pipeline)[0].train.ids.tolist()


@pytest.mark.s3
def test_inputs_and_labels_in_s3(tmp_path: Path, s3_uri: str) -> None:
    """The same files give the same chain as in folders; labels may vanish there, too."""
    here = delayed(tmp_path)
    more = MORE.format(folder=s3_uri) + ", ready: {age: 0s}"
    text = arrivals.FILE.replace("{folder}/in", f"{s3_uri}/in").replace("{folder}/store", f"{s3_uri}/store")
    there = pipeline_of(tmp_path, more, text)
    bucket = open_store(s3_uri)
    bring(tmp_path, "a", range(40))
    label(tmp_path, "one", range(20))
    label(tmp_path, "two", range(20, 40))
    for key in ("in/a.npz", "labels/one.csv"):
        bucket.put(key, (tmp_path / key).read_bytes())
    assert (step(there).outcome, step(there).outcome) == ("admitted", "nothing-new")
    bucket.delete("labels/one.csv")
    bucket.put("labels/two.csv", (tmp_path / "labels/two.csv").read_bytes())
    assert step(there).commit == step(here).commit
    assert fsck(lineage_of(there)).damage == []

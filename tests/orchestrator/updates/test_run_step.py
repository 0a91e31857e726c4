"""Steps over real files: whatever arrives and whenever a step is killed, the chain is that of the log.

Covers: `orchestrator/updates/admission_log.py`, `orchestrator/updates/admit_files.py`
Covers: `orchestrator/updates/admitted_stream.py`, `orchestrator/updates/judge_latest.py`
"""

from __future__ import annotations

import itertools
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import CorruptCommit, RunFailed
from orchestrator.lineage import layout
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import make_plan
from orchestrator.maintenance.check_store import fsck
from orchestrator.storage.open_by_uri import open_store
from orchestrator.updates import admission_log, run_step
from orchestrator.updates.admission_log import AdmissionLog, read_admissions
from orchestrator.updates.admitted_stream import source_of, stream_of
from pipelines.build import make_stream
from pipelines.config.pipeline_errors import DataError, PipelineError
from tests.orchestrator.updates import arrivals
from tests.orchestrator.updates.arrivals import (
    KillableStore,
    Killed,
    aged,
    contents,
    deliver,
    lineage_of,
    pipeline_of,
    step,
    train_here,
)

DATASET = arrivals.FILE.replace("source:", "dataset:").replace("path:", "name: npz, path:").replace(", format: npz", "")


def test_what_arrives_is_trained_in_the_order_of_its_arrival(tmp_path: Path) -> None:
    pipeline = pipeline_of(tmp_path)
    assert step(pipeline).outcome == "nothing-new"
    deliver(tmp_path, "b", [0, 1])
    first = step(pipeline)
    assert (first.outcome, first.trained, first.experiences, first.reads) == ("trained", 1, 1, 1)
    deliver(tmp_path, "a", [2, 3], seed=1)  # sorts first
    second = step(pipeline)
    assert (second.trained, second.experiences, second.decided[0].kind) == (1, 2, "late")
    lineage = lineage_of(pipeline)
    chain = lineage.chain(str(second.commit))
    assert chain[0].id == first.commit
    assert [commit.experience.classes for commit in chain] == [(0, 1), (2, 3)]
    assert lineage.stands("latest", str(second.commit))


def test_the_past_may_change_and_vanish(tmp_path: Path) -> None:
    pipeline = pipeline_of(tmp_path)
    for number, name in enumerate("ab"):
        deliver(tmp_path, name, [0, 1], seed=number)
    before = step(pipeline)
    deliver(tmp_path, "a", [2, 3], seed=7)
    (tmp_path / "in/b.npz").unlink()
    (tmp_path / "in/c.npz").write_bytes(b"PK torn")
    aged(tmp_path / "in/c.npz", 500)
    after = step(pipeline)
    assert (after.outcome, after.commit) == ("admitted", before.commit)
    assert {(file.key, file.kind) for file in after.quarantined} == {("a.npz", "overwritten"), ("c.npz", "unreadable")}
    deliver(tmp_path, "d", [2, 3], seed=9)
    new = step(pipeline)
    assert new.trained == 1 and new.reads == 1
    chain = lineage_of(pipeline).chain(str(new.commit))
    assert chain[-2].id == before.commit and [count.total for count in chain[-1].row] == [8, 8, 8]
    # The past is what its record says; only to train it again its file would be needed.
    stream = stream_of(pipeline)
    assert len(stream[0].test) == 8
    with pytest.raises(DataError, match=r"a\.npz: has another content than when it was admitted"):
        len(stream[0].train)
    with pytest.raises(DataError, match=r"b\.npz: was admitted, and is gone"):
        len(stream[1].train)


def test_a_step_that_is_killed_anywhere_and_run_again_is_an_undisturbed_one(
    tmp_path: Path, opened: Callable[..., KillableStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before every write of the second step, and again: every object is the same, bit for bit."""
    monkeypatch.setattr(admission_log, "utc_now", lambda: "2026-01-01T00:00:00.000Z")
    begun = tmp_path / "begun"
    begun.mkdir()
    deliver(begun, "b", [0, 1])
    step(pipeline_of(begun))
    deliver(begun, "a", [2, 3], seed=1)
    (begun / "in/torn.npz").write_bytes(b"PK")
    aged(begun / "in/torn.npz", 500)
    expected: dict[str, Any] = {}
    for number in itertools.count(0):
        folder = tmp_path / str(number)
        shutil.copytree(begun, folder)
        pipeline = pipeline_of(folder)
        store = opened(pipeline.storage, number)
        if number == 0:
            undisturbed = step(pipeline)
            assert undisturbed.trained == 1 and len(undisturbed.quarantined) == 1
            expected = contents(pipeline)
            writes = store.writes
            continue
        # A claim that could not be released is no error.
        with suppress(Killed, RunFailed):
            step(pipeline)
        assert store.killed
        opened(pipeline.storage)
        again = step(pipeline)
        assert (again.commit, again.outcome in ("trained", "nothing-new")) == (undisturbed.commit, True)
        assert contents(pipeline) == expected, number
        shutil.rmtree(folder)
        if number == writes:
            break
    assert writes > 20


def test_a_file_that_vanishes_before_it_is_trained_does_not_stop_the_stream(
    tmp_path: Path, opened: Callable[..., KillableStore]
) -> None:
    pipeline = pipeline_of(tmp_path)
    deliver(tmp_path, "a", [0, 1])
    deliver(tmp_path, "b", [2, 3], seed=1)

    def killed(pipeline: Any) -> Any:
        raise Killed("the process was killed")

    with pytest.raises(Killed):
        run_step.run_step(pipeline, train=killed)
    (tmp_path / "in/a.npz").unlink()
    result = step(pipeline)
    assert (result.trained, result.experiences) == (1, 1)
    assert [c.experience.classes for c in lineage_of(pipeline).chain(str(result.commit))] == [(2, 3)]


def test_a_thousand_idle_steps_write_nothing_and_cost_the_same(
    tmp_path: Path, opened: Callable[..., KillableStore]
) -> None:
    pipeline = pipeline_of(tmp_path)
    costs = []
    for number in range(4):
        deliver(tmp_path, f"file {number}", [number % 4, (number + 1) % 4], seed=number)
        result = step(pipeline)
        assert (result.trained, result.reads) == (1, 1)  # only what is new is read, whatever was learned before
        store = opened(pipeline.storage)
        assert step(pipeline).outcome == "nothing-new"
        costs.append((store.reads, store.writes))
    assert costs == [costs[0]] * 4 and costs[0] == (6, 0)
    before = contents(pipeline)
    store = opened(pipeline.storage)
    for _ in range(1000 - 4):
        assert step(pipeline).outcome == "nothing-new"
    assert store.writes == 0 and contents(pipeline) == before


def test_admitting_costs_what_is_new(tmp_path: Path, opened: Callable[..., KillableStore]) -> None:
    """Requests of a step before it trains: the same after one experience and after five."""
    pipeline = pipeline_of(tmp_path)
    costs = []
    for number in range(6):
        deliver(tmp_path, f"file {number}", [0, 1], seed=number)
        store = opened(pipeline.storage)
        requests: list[tuple[int, int]] = []

        def counted(pipeline: Any, store: KillableStore = store, requests: Any = requests) -> tuple[int, str]:
            requests.append((store.reads, store.writes))
            return train_here(pipeline)

        run_step.run_step(pipeline, train=counted)
        costs += requests
    assert len(costs) == 6 and len(set(costs[1:])) == 1


def test_two_steps_at_once_train_once(tmp_path: Path) -> None:
    pipeline = pipeline_of(tmp_path)
    deliver(tmp_path, "a", [0, 1])
    gate = threading.Barrier(2)
    results = []

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
    lineage = lineage_of(pipeline)
    assert len(list(lineage.commits())) == 1
    assert len(list(AdmissionLog(lineage).records())) == 1


def test_a_folder_that_was_trained_is_migrated_with_its_ids(tmp_path: Path) -> None:
    """`run` on a folder, then `step`: nothing is trained again, and from then on the order is that of admission."""
    pipeline = pipeline_of(tmp_path, text=DATASET)
    for number, name in enumerate(("week2", "week10")):
        deliver(tmp_path, name, [2 * number, 2 * number + 1], seed=number)
    deliver(tmp_path, "below/x", [0, 1], seed=5)  # a dataset takes the files of the folder itself
    plan = [planned.id for planned in make_plan(pipeline, make_stream(pipeline))]
    train_here(pipeline)
    migrated = step(pipeline)
    assert (migrated.outcome, migrated.experiences, migrated.commit) == ("admitted", 2, plan[-1])
    assert [planned.id for planned in make_plan(pipeline, stream_of(pipeline))] == plan
    assert step(pipeline).outcome == "nothing-new"
    deliver(tmp_path, "week1", [0, 1], seed=3)
    late = step(pipeline)
    assert late.trained == 1
    assert [c.id for c in lineage_of(pipeline).chain(str(late.commit))][:2] == plan
    # With a source of the same files, it is the same stream.
    shutil.rmtree(tmp_path / "in/below")
    assert step(pipeline_of(tmp_path)).outcome == "nothing-new"


def test_files_in_folders_become_an_experience_together(tmp_path: Path) -> None:
    pipeline = pipeline_of(tmp_path, ", batch: {files: 2}, ready: {marker: _SUCCESS}")
    deliver(tmp_path, "day1/a", [0, 1])
    deliver(tmp_path, "day1/b", [1, 2], seed=1)
    assert step(pipeline).outcome == "nothing-new"
    (tmp_path / "in/day1/_SUCCESS").touch()
    result = step(pipeline)
    assert (result.trained, result.experiences, result.waiting) == (1, 1, 0)
    commit = lineage_of(pipeline).read(str(result.commit))
    assert (commit.experience.classes, commit.experience.samples) == ((0, 1, 2), 64)
    ids = stream_of(pipeline)[0].train.ids.tolist() + stream_of(pipeline)[0].test.ids.tolist()
    assert sorted(ids) == list(range(80))


def test_what_cannot_be_an_experience_is_quarantined(tmp_path: Path) -> None:
    pipeline = pipeline_of(tmp_path)
    deliver(tmp_path, "single", [0, 1], rows=2)
    result = step(pipeline)
    assert (result.outcome, result.experiences) == ("admitted", 0)
    assert "leaves no test rows: no class of it has two rows" in result.quarantined[0].reason


def test_too_many_in_quarantine_stop_the_training(tmp_path: Path) -> None:
    pipeline = pipeline_of(tmp_path, ", max_quarantined: 0")
    deliver(tmp_path, "a", [0, 1])
    deliver(tmp_path, "b", [0, 7 % 4, 3], seed=1)
    step(pipeline)
    (tmp_path / "in/c.npz").write_bytes(b"PK")
    aged(tmp_path / "in/c.npz", 500)
    deliver(tmp_path, "d", [0, 1], seed=4)
    assert step(pipeline).outcome == step(pipeline).outcome == "stopped"
    assert len(list(lineage_of(pipeline).commits())) == 2
    (tmp_path / "in/c.npz").unlink()
    assert step(pipeline).trained == 1


def test_settings_that_would_train_the_past_again_are_refused(tmp_path: Path) -> None:
    pipeline = pipeline_of(tmp_path)
    deliver(tmp_path, "a", [0, 1])
    first = step(pipeline)
    other = pipeline_of(tmp_path, text=arrivals.FILE.replace("batch_size: 20", "batch_size: 10"))
    with pytest.raises(PipelineError, match=r"all 1 experiences would be trained again.*everlearn backfill"):
        step(other)
    more = pipeline_of(tmp_path, text=arrivals.FILE.replace("classes: 4", "classes: 6"))
    with pytest.raises(PipelineError, match=r"stream\.source\.classes: is 6, but what was admitted has 4"):
        step(more)
    assert step(pipeline).commit == first.commit


def test_a_log_that_was_changed_is_refused_and_the_index_is_made_anew(tmp_path: Path) -> None:
    pipeline = pipeline_of(tmp_path)
    for number, name in enumerate("abc"):
        deliver(tmp_path, name, [0, 1], seed=number)
        step(pipeline)
    lineage = lineage_of(pipeline)
    index = layout.admission_index_key(pipeline.name)
    data = lineage.store.get(index)
    lineage.store.delete(index)
    assert step(pipeline).outcome == "nothing-new"
    assert lineage.store.get(index) == data
    lineage.store.delete(index)
    first, second = (layout.admission_key(pipeline.name, number) for number in (0, 1))
    lineage.store.put(second, lineage.store.get(first))
    with pytest.raises(CorruptCommit, match=r"1\.json: damaged: it is record 0"):
        read_admissions(lineage)


def test_streams_in_which_nothing_arrives_are_refused(tmp_path: Path) -> None:
    for more in (", test: x", ""):
        text = DATASET if more else DATASET.replace("  setting", "  lanes: 2\n  setting")
        pipeline = pipeline_of(tmp_path, more, text)
        assert source_of(pipeline) is None
        with pytest.raises(PipelineError, match="nothing arrives here"):
            step(pipeline)
    with pytest.raises(PipelineError, match="nothing was admitted yet"):
        stream_of(pipeline_of(tmp_path))


def test_another_pipeline_has_another_log(tmp_path: Path) -> None:
    pipeline = pipeline_of(tmp_path)
    deliver(tmp_path, "a", [0, 1])
    step(pipeline)
    assert read_admissions(Lineage(lineage_of(pipeline).store, "other")) is None


@pytest.mark.s3
def test_a_source_and_a_store_in_s3(tmp_path: Path, s3_uri: str) -> None:
    """The same files give the same chain as in a folder; the past may vanish there, too."""
    here = pipeline_of(tmp_path)
    text = arrivals.FILE.replace("{folder}/in", f"{s3_uri}/in").replace("{folder}/store", f"{s3_uri}/store")
    there = pipeline_of(tmp_path, ", ready: {age: 0s}", text)
    bucket = open_store(s3_uri)
    for number, name in enumerate("ba"):
        file = deliver(tmp_path, name, [number, number + 1], seed=number)
        bucket.put(f"in/{name}.npz", file.read_bytes())
        assert step(there).commit == step(here).commit
        assert step(there).outcome == "nothing-new"
    bucket.delete("in/b.npz")
    bucket.put("in/a.npz", b"PK torn")
    result = step(there)
    assert [(file.key, file.kind) for file in result.quarantined] == [("a.npz", "overwritten")]
    assert fsck(lineage_of(there)).damage == []

"""A step whose process is killed (SIGKILL) before one of its writes, and then run again: as if nothing had happened."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from orchestrator.lineage import layout, past_outline
from orchestrator.maintenance.check_store import fsck
from orchestrator.storage.folder_store import FolderStore
from orchestrator.updates import admission_log, admitted_stream, run_step
from pipelines.config.schema import Pipeline
from tests.orchestrator.updates import arrivals
from tests.orchestrator.updates.answered_commits import KilledStore, pointed, recorded_decisions
from tests.orchestrator.updates.arrivals import aged, contents, deliver, lineage_of, pipeline_of, step

GATE = "gate: {{score: {{margin: 0.3}}, holdout: {{samples: 9}}, undecided: promote, promote: automatic}}\n"
GATED = arrivals.FILE + GATE + "update: {{}}\n"
KILLS = 5


def kept(pipeline: Pipeline) -> dict[str, Any]:
    """Everything in the store that two undisturbed steps have in common; of decisions, what they say."""
    # An outline of the past follows from the commits, and is not missed.
    found = {key: data for key, data in contents(pipeline).items() if not {"decisions", "outlines"} & {*key.split("/")}}
    decisions = recorded_decisions(lineage_of(pipeline))
    for one in decisions:
        one["evidence"].pop("worker_seconds", None)
    return {**found, "decisions": decisions, "refs": pointed(lineage_of(pipeline))}


class Counting:
    """Counts the writes of a store."""

    def __init__(self, store: FolderStore) -> None:
        self._store, self.writes = store, 0

    def __getattr__(self, name: str) -> Any:
        self.writes += name in ("put", "put_if_absent", "compare_and_swap", "delete")
        return getattr(self._store, name)


def in_a_process(pipeline: Pipeline, number: int) -> bool:
    """A step in a process of its own that is killed before its n-th write; False: it ended before."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            torch.set_num_threads(1)
            store = KilledStore(FolderStore(Path(pipeline.storage)), number)
            for module in (run_step, admitted_stream, arrivals):
                vars(module)["open_store"] = lambda uri: store
            step(pipeline)
            status = 0
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0


def test_a_step_that_is_killed_and_run_again_is_an_undisturbed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before writes spread evenly over the step; before every one of them, in one process, in test_run_step."""
    monkeypatch.setattr(admission_log, "utc_now", lambda: "2026-01-01T00:00:00.000Z")
    monkeypatch.setattr(past_outline, "EVERY", 1)
    begun = tmp_path / "begun"
    begun.mkdir()
    deliver(begun, "b", [0, 1], rows=100)
    step(pipeline_of(begun, text=GATED))
    deliver(begun, "a", [0, 1], seed=1, rows=100)
    (begun / "in/torn.npz").write_bytes(b"PK")
    aged(begun / "in/torn.npz", 500)
    undisturbed = tmp_path / "undisturbed"
    shutil.copytree(begun, undisturbed)
    pipeline = pipeline_of(undisturbed, text=GATED)
    counting = Counting(FolderStore(undisturbed / "store"))
    with pytest.MonkeyPatch.context() as patch:
        for module in (run_step, admitted_stream, arrivals):
            patch.setattr(module, "open_store", lambda uri: counting)
        assert step(pipeline).trained == 1
    expected = kept(pipeline)
    assert list(counting.list(layout.outlines_prefix(pipeline.name)))
    assert counting.writes > 30 and [one["kind"] for one in expected["decisions"]].count("promotion") == 2
    for place in range(KILLS):
        number = 2 + (counting.writes - 3) * place // (KILLS - 1)
        folder = tmp_path / str(number)
        shutil.copytree(begun, folder)
        pipeline = pipeline_of(folder, text=GATED)
        assert in_a_process(pipeline, number), number
        assert step(pipeline).outcome in ("trained", "judged", "nothing-new")
        found = kept(pipeline)
        assert found.keys() == expected.keys(), number
        different = {key: (found[key], expected[key]) for key in expected if found[key] != expected[key]}
        assert different == {}, number
        assert fsck(lineage_of(pipeline)).damage == []
        shutil.rmtree(folder)

"""Trials in processes of this machine.

Covers: `orchestrator/tuning/trial_process.py`, `orchestrator/tuning/trial_plan.py`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
import yaml

from orchestrator.training import in_process
from orchestrator.tuning.process_pool import run_in_processes, runs_here
from orchestrator.tuning.proposal import Proposal
from orchestrator.tuning.trial_plan import Plan
from orchestrator.tuning.trial_record import TrialRecord
from orchestrator.tuning.trial_streams import Streams
from pipelines.config.load import load_text, with_settings
from pipelines.config.schema import Pipeline
from tests.orchestrator.train_stream import train
from tests.orchestrator.tuning.conftest import document

# They differ from experience 1 on: the first commit is one for all.
LAMBDAS = (1.0, 100.0, 10000.0)
SMALL = {"stream": {"dataset": "digits", "experiences": 3}}


def planned(folder: Path, **changes: object) -> tuple[Plan, dict[int, TrialRecord]]:
    base = load_text(yaml.safe_dump(document(folder, None, **SMALL)))
    streams = Streams()
    streams.share(base)
    proposals = [Proposal(n, {"strategy.ewc.lambda": value}, [0]) for n, value in enumerate(LAMBDAS)]
    records = {p.number: TrialRecord(number=p.number, settings=dict(p.settings), seeds=[0]) for p in proposals}
    return Plan([base], streams, proposals, **changes), records  # type: ignore[arg-type]


def outcome(record: TrialRecord) -> tuple[object, ...]:
    def untimed(metrics: Sequence[dict[str, float | None]]) -> list[dict[str, float | None]]:
        return [{name: value for name, value in each.items() if name != "training_seconds"} for each in metrics]

    return (
        record.state, untimed(record.history), record.lineage, record.trained, record.reused, untimed(record.values),
    )  # fmt: skip


def test_two_processes_come_to_what_one_comes_to_and_what_training_each_alone_does(tmp_path: Path) -> None:
    found = []
    for processes in (1, 2):
        (tmp_path / str(processes)).mkdir()
        plan, records = planned(tmp_path / str(processes))
        seen: list[int] = []
        run_in_processes(plan, records, lambda record, seen=seen: seen.append(record.number), processes=processes)  # type: ignore[misc]
        assert sorted(set(seen)) == [0, 1, 2] and seen[0] == 0
        found.append([outcome(record) for record in records.values()])
    assert found[0] == found[1]
    assert [(state, trained, reused) for state, _, _, trained, reused, _ in found[0]] == [
        ("done", 3, 0), ("done", 2, 1), ("done", 2, 1),
    ]  # fmt: skip
    (tmp_path / "alone").mkdir()
    plan, records = planned(tmp_path / "alone")
    (base,) = plan.pipelines
    stream = plan.streams.of(base)
    for record, (_, _, lineage, *_) in zip(records.values(), found[0], strict=True):
        assert lineage == [train(with_settings(base, record.settings), stream)]


def test_a_process_that_is_killed_fails_its_trial_or_is_replaced(tmp_path: Path) -> None:
    plan, records = planned(tmp_path, retries=1)
    killed: list[int] = []

    def on_record(record: TrialRecord) -> None:
        if len(record.history) == 1 and not killed:
            killed.extend(_children())
            for child in killed:
                os.kill(child, signal.SIGKILL)

    run_in_processes(plan, records, on_record, processes=1)
    assert len(killed) == 1 and [record.state for record in records.values()] == ["done"] * 3
    assert [record.trained + record.reused for record in records.values()] == [3, 3, 3]
    assert not _children() and threading.active_count() < 50


def test_settings_that_do_not_fit_and_an_error_fail_one_trial(tmp_path: Path) -> None:
    plan, records = planned(tmp_path)
    plan.proposals = [Proposal(0, {"strategy.ewc.lambda": -1.0}, [0]), Proposal(1, {"train.optimizer.lr": 1e30}, [0])]
    run_in_processes(plan, records, lambda record: None, processes=1)
    assert [(records[n].state, records[n].final) for n in (0, 1)] == [("failed", True), ("failed", True)]
    assert "lambda" in str(records[0].error) and "nan" in str(records[1].error)


@pytest.mark.parametrize(
    ("changes", "address", "here"),
    [
        ({}, None, True),
        ({}, "local", False),
        ({}, "10.0.0.1:6379", False),
        ({"resources": {"cpu": 2}}, None, True),
        ({"resources": {"gpu": 0.5}}, None, False),
        ({"scheduler": object()}, None, False),
        ({"searcher": object()}, None, False),
        ({"time_budget": 5.0}, None, False),
    ],
)
def test_which_trials_need_no_ray(
    changes: dict[str, object],
    address: str | None,
    here: bool,
    make: Callable[..., Pipeline],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Other tests may leave this process connected to Ray.
    alone = partial(in_process.runs_here, environment={}, connected=False, gpus=0)
    monkeypatch.setattr("orchestrator.tuning.process_pool.runs_in_this_process", alone)
    assert runs_here(Plan([make()], Streams(), **changes), address) is here  # type: ignore[arg-type]
    assert not runs_here(Plan([make(scaling={"workers": 2})], Streams(), **changes), address)  # type: ignore[arg-type]


def test_a_process_ends_when_nobody_asks_any_more() -> None:
    command = [sys.executable, "-m", "orchestrator.tuning.trial_process"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(b"\x80\x04]\x94.")  # an empty list, pickled
        process.stdin.close()
        assert process.wait(timeout=120) == 0


def _children() -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process().children() if "trial_process" in " ".join(child.cmdline())]

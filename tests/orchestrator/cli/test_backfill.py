"""`everlearn backfill`, and what it does beneath.

Covers: `orchestrator/updates/retrain_past.py`
"""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.cli.main import invoke
from orchestrator.lineage.claim import claimed
from orchestrator.lineage.plan import make_plan
from orchestrator.maintenance.check_store import fsck
from orchestrator.training.in_process import train_in_process
from orchestrator.updates.admission_log import AdmissionLog
from orchestrator.updates.admitted_stream import stream_of
from orchestrator.updates.retrain_past import Backfill
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.schema import Pipeline
from pipelines.data.streams import Stream
from tests.orchestrator.cli.commands import documented
from tests.orchestrator.updates.arrivals import FILE, deliver, lineage_of, pipeline_of, step
from tests.orchestrator.updates.label_files import bring, delayed, delayed_file, label

OTHER = FILE.replace("batch_size: 20", "batch_size: 10")
MORE = FILE.replace("classes: 4", "classes: 6")


def train(pipeline: Pipeline, stream: Stream, ref: str) -> tuple[int, str]:
    """What the driver does, without MLflow."""
    lineage = lineage_of(pipeline)
    with claimed(lineage, "run") as claim:
        held, plan = lineage.fenced(claim.fence), make_plan(pipeline, stream)
        left = len(plan) - lineage.longest([planned.id for planned in plan])
        train_in_process(pipeline, stream, plan, held, lambda event: None, ref=ref)
        held.point(ref, plan[-1].id)
    return left, plan[-1].id


@pytest.fixture
def grown(tmp_path: Path) -> Pipeline:
    """Three experiences."""
    for number, name in enumerate("abc"):
        deliver(tmp_path, name, [number, number + 1], seed=number)
    pipeline = pipeline_of(tmp_path)
    step(pipeline)
    return pipeline


def test_other_settings_are_trained_on_a_branch_until_they_are_adopted(grown: Pipeline, tmp_path: Path) -> None:
    other, lineage = pipeline_of(tmp_path, text=OTHER), lineage_of(grown)
    before = str(step(grown).commit)
    cost = Backfill(other).cost()
    assert (cost.first, cost.again, cost.rows, cost.files, cost.changed, cost.missing) == (0, 3, 120, 3, (), ())
    assert cost.bytes > 0 and cost.seconds > 0
    with pytest.raises(PipelineError, match="is not trained to its end"):
        Backfill(other).adopt()
    assert Backfill(other).train(train)[0] == 3
    assert Backfill(other).cost().again == 0
    assert lineage.stands("latest", before) and step(grown).outcome == "nothing-new"
    with pytest.raises(PipelineError, match="everlearn backfill"):
        step(other)
    adopted = Backfill(other).adopt()
    assert lineage.stands("latest", adopted)
    assert step(other).outcome == "nothing-new"
    deliver(tmp_path, "d", [0, 1], seed=3)
    assert step(other).trained == 1
    assert len(list(AdmissionLog(lineage).records())) == 2  # what was admitted is the same
    assert fsck(lineage).damage == []


def test_an_overwritten_file_is_learned_as_it_is_now(grown: Pipeline, tmp_path: Path) -> None:
    lineage = lineage_of(grown)
    chain = lineage.chain(str(step(grown).commit))
    deliver(tmp_path, "b", [3], seed=7)
    assert step(grown).quarantined[0].kind == "overwritten"
    cost = Backfill(grown).cost()
    assert (cost.first, cost.changed) == (1, ("b.npz",))
    Backfill(grown).train(train)
    assert len(stream_of(grown)[1].test) == 8 and stream_of(grown)[1].classes == (1, 2)  # nothing has changed yet
    adopted = Backfill(grown).adopt()
    now = lineage.chain(adopted)
    assert now[0].id == chain[0].id and [commit.experience.classes for commit in now] == [(0, 1), (3,), (2, 3)]
    result = step(grown)
    assert (result.outcome, result.quarantined, result.commit) == ("nothing-new", (), adopted)
    assert Backfill(grown).cost().again == 0
    assert fsck(lineage).damage == []


def test_more_classes_need_all_files(grown: Pipeline, tmp_path: Path) -> None:
    more = pipeline_of(tmp_path, text=MORE)
    (tmp_path / "in/b.npz").unlink()
    assert Backfill(more).cost().missing == ("b.npz",)
    with pytest.raises(PipelineError, match=r"b\.npz: gone, and needed"):
        Backfill(more).train(train)
    Backfill(more).train(train, without_missing=True)
    adopted = Backfill(more).adopt(without_missing=True)
    chain = lineage_of(more).chain(adopted)
    assert [commit.experience.classes for commit in chain] == [(0, 1), (2, 3)]
    assert chain[0].spec["outputs"] == 6
    deliver(tmp_path, "e", [4 % 4, 3], seed=5)
    assert step(more).trained == 1


def test_a_branch_is_not_latest(grown: Pipeline) -> None:
    with pytest.raises(PipelineError, match="latest is the chain in use"):
        Backfill(grown).train(train, ref="latest")


def test_the_command_says_what_it_costs_first(
    grown: Pipeline, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.yaml").write_text(
        OTHER.format(folder=tmp_path, more="").replace(f"{tmp_path}/mlflow", "http://127.0.0.1:9")
    )
    file = str(tmp_path / "p.yaml")
    assert invoke(["backfill", file]) == 0
    shown = capsys.readouterr().out
    assert "arriving: 3 experiences of 3, from experience 0 on: 120 rows in 3 files, " in shown
    assert f"Nothing was trained. To train it: everlearn backfill {file} --yes" in shown
    document = documented(capsys, 0, "backfill", file, "--yes")
    assert (document["train"], document["trained"]) == (3, 3)
    assert lineage_of(grown).stands("backfill", document["commit"])
    assert documented(capsys, 0, "backfill", file, "--adopt")["adopted"]
    assert invoke(["backfill", file]) == 0
    assert "nothing to train again" in capsys.readouterr().out


def test_labels_that_came_too_late_count_in_a_backfill(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline, file = delayed(tmp_path), str(delayed_file(tmp_path))
    bring(tmp_path, "a", range(40))
    label(tmp_path, "one", range(40))
    step(pipeline)
    bring(tmp_path, "b", range(100, 140))
    label(tmp_path, "two", range(100, 140))
    before = str(step(pipeline).commit)
    assert Backfill(pipeline).cost().again == 0
    label(tmp_path, "late", range(100, 110), other=1)
    assert step(pipeline).commit == before
    (tmp_path / "labels/late.csv").unlink()
    cost = Backfill(pipeline).cost()
    assert (cost.first, cost.again, cost.late) == (1, 1, 10)
    assert invoke(["backfill", file]) == 0
    assert "10 labels that came too late count then" in capsys.readouterr().out
    assert Backfill(pipeline).train(train)[0] == 1
    after = Backfill(pipeline).adopt()
    assert lineage_of(pipeline).chain(after)[0].id == lineage_of(pipeline).chain(before)[0].id
    learned = stream_of(pipeline)[1]
    pairs = [
        pair
        for one in (learned.train, learned.test)
        for pair in zip(one.ids.tolist(), one.targets.tolist(), strict=True)
    ]
    assert dict(pairs) == {id_: (id_ + (id_ < 110)) % 2 for id_ in range(100, 140)}
    assert Backfill(pipeline).cost().again == 0 and step(pipeline).outcome == "nothing-new"
    assert fsck(lineage_of(pipeline)).damage == []

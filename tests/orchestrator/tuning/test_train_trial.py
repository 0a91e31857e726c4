"""Training a stream for a trial, in its own process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from orchestrator.events import CommitWritten, Event
from orchestrator.tuning.train_trial import Job, train
from orchestrator.tuning.trial_resources import Needs
from pipelines.config.schema import Pipeline
from pipelines.data.streams import build_stream
from tests.orchestrator.train_stream import train as train_alone

HERE = Needs(1, {"CPU": 1})


def job(pipeline: Pipeline) -> Job:
    return Job.of(pipeline, build_stream(pipeline.stream, pipeline.seed))


def test_a_job_knows_its_commits_and_its_test_sets(make: Callable[..., Pipeline]) -> None:
    made = job(make())
    assert made.ids == [planned.id for planned in made.plan] and len(set(made.ids)) == 5
    assert len(set(made.tests)) == 5


def test_experiences_before_a_number_are_trained_once_and_no_ref_moves(
    make: Callable[..., Pipeline], tmp_path: Path
) -> None:
    made, events = job(make(storage=str(tmp_path / "trial"))), list[Event]()
    train(made, 2, HERE, events.append)
    assert made.lineage.longest(made.ids) == 2
    train(made, 3, HERE, events.append)
    commits = [event.commit["id"] for event in events if isinstance(event, CommitWritten)]
    assert commits == made.ids[:3] and made.lineage.refs() == {}
    # The same commits as those of a run.
    whole = make(storage=str(tmp_path / "run"))
    assert train_alone(whole)[:3] == commits
    other = job(whole)
    assert [made.lineage.read(one).row for one in commits] == [other.lineage.read(one).row for one in commits]

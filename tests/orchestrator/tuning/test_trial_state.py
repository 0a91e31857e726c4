from collections.abc import Callable

import pytest

from orchestrator.lineage.joint_reference import Reference
from orchestrator.tuning.train_trial import Job
from orchestrator.tuning.trial_record import TrialRecord
from orchestrator.tuning.trial_score import chain_metrics
from orchestrator.tuning.trial_state import TrialState
from pipelines.config.load import with_settings
from pipelines.config.schema import Pipeline
from pipelines.data.streams import build_stream
from tests.orchestrator.train_stream import train


def test_a_record_hears_of_every_experience(make: Callable[..., Pipeline]) -> None:
    pipelines = [with_settings(make(), {"seed": seed}) for seed in (0, 1)]
    jobs = [Job.of(pipeline, build_stream(pipeline.stream, pipeline.seed)) for pipeline in pipelines]
    ids = [train(pipeline) for pipeline in pipelines]
    chains = [job.lineage.leading(job.ids) for job in jobs]
    standing, record = TrialState(jobs), TrialRecord(number=0)
    for end in range(1, 6):
        record.take(standing.after(chains, end))
        assert len(record.history) == len(record.times) == end
        assert record.lineage == [each[:end] for each in ids]
    assert record.of == 5
    final = [chain_metrics(chain, job.tests, Reference(job.lineage)) for chain, job in zip(chains, jobs, strict=True)]
    for name in ("average_accuracy", "forgetting"):
        a, b = (value[name] for value in final)
        assert a is not None and b is not None
        assert record.metrics[name] == pytest.approx((a + b) / 2)
        assert record.deviation[name] == pytest.approx(abs(a - b) / 2**0.5)

    # A trial that starts again is reported from its first experience.
    record.take(standing.after(chains, 1))
    assert len(record.history) == 1 and record.lineage == [each[:1] for each in ids]

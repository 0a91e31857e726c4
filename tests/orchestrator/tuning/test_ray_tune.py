from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.open_by_uri import open_store
from orchestrator.tuning.proposal import Proposal
from orchestrator.tuning.ray_tune import run_trials
from orchestrator.tuning.trial_plan import Plan
from orchestrator.tuning.trial_record import TrialRecord
from orchestrator.tuning.trial_streams import Streams, Validation
from pipelines.config.load import with_settings
from pipelines.config.schema import Pipeline
from tests.orchestrator.train_stream import train

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.usefixtures("cluster")]


def test_trials_with_two_workers_on_two_processors_do_not_wait_for_each_other(
    make: Callable[..., Pipeline], tmp_path: Path
) -> None:
    small = {"stream": {"dataset": "digits", "experiences": 3}}
    alone = make(storage=str(tmp_path / "alone"), **small)
    pairs = make(storage=str(tmp_path / "pairs"), scaling={"workers": 2}, **small)
    streams = Streams(Validation(0.1, pairs.seed))
    stream = streams.share(pairs)
    proposals = [Proposal(n, {"strategy.ewc.lambda": value}, [pairs.seed]) for n, value in enumerate((1, 100))]
    records = {p.number: TrialRecord(number=p.number, settings=p.settings, seeds=p.seeds) for p in proposals}
    run_trials(Plan([pairs], streams, proposals, max_concurrent=4), records, lambda record: None)
    assert [record.state for record in records.values()] == ["done", "done"]
    assert sorted((record.trained, record.reused) for record in records.values()) == [(2, 1), (3, 0)]
    # The number of workers changes neither what is learned nor the commits' ids.
    ours, theirs = (Lineage(open_store(str(tmp_path / name)), "small") for name in ("alone", "pairs"))
    for record in records.values():
        assert record.lineage == [train(with_settings(alone, record.settings), stream)]
        for one, two in zip(*(kept.chain(record.lineage[0][-1]) for kept in (ours, theirs)), strict=True):
            for expected, mine in zip(one.row, two.row, strict=True):
                assert (mine.test, mine.total) == (expected.test, expected.total)
                assert mine.correct / mine.total == pytest.approx(expected.correct / expected.total, abs=0.02)

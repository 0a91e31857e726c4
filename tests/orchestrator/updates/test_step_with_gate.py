"""Steps of a stream that has a gate: what is trained is judged, also after a step that was killed.

Tests `orchestrator.updates.run_step`."""

from __future__ import annotations

from pathlib import Path

from orchestrator.updates.promotion import rollback
from tests.orchestrator.updates import arrivals
from tests.orchestrator.updates.arrivals import deliver, lineage_of, pipeline_of, step

GATED = arrivals.FILE + "gate: {{score: {{margin: 0.3}}, undecided: promote, promote: automatic}}\n"


def test_a_new_model_is_judged_and_a_rolled_back_one_is_left_out(tmp_path: Path) -> None:
    pipeline = pipeline_of(tmp_path, text=GATED)
    lineage = lineage_of(pipeline)
    deliver(tmp_path, "a", [0, 1], rows=100)
    first = step(pipeline)
    assert first.judged is not None and first.judged["followed"] == "promotion"
    deliver(tmp_path, "b", [0, 1], seed=1, rows=100)
    second = step(pipeline)
    assert second.judged is not None and lineage.stands("champion", str(second.commit)), second.judged
    assert step(pipeline).outcome == "nothing-new"
    rollback(lineage, reason="labels were wrong")
    deliver(tmp_path, "c", [0, 1], seed=2, rows=100)
    (tmp_path / "in/b.npz").unlink()
    third = step(pipeline)
    chain = lineage.chain(str(third.commit))
    assert [commit.id for commit in chain][:1] == [first.commit] and len(chain) == 2
    assert (third.trained, third.experiences) == (1, 3)
    assert lineage.stands("champion", str(third.commit))
    assert step(pipeline).outcome == "nothing-new"


def test_a_step_that_was_killed_before_it_judged_is_completed(tmp_path: Path) -> None:
    deliver(tmp_path, "a", [0, 1], rows=100)
    step(pipeline_of(tmp_path))  # without a gate nothing is judged
    judged = step(pipeline_of(tmp_path, text=GATED))
    assert (judged.outcome, judged.trained) == ("judged", 0)
    assert lineage_of(pipeline_of(tmp_path)).stands("champion", str(judged.commit))
    assert step(pipeline_of(tmp_path, text=GATED)).outcome == "nothing-new"

"""The strategy of the tutorial learns, resumes, and has its options checked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import make_plan
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training.rank import RankTraining
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import PipelineError
from pipelines.data.streams import build_stream
from strategies.loop.process_group import Group
from tests.docs.pages import PAGES, read

BLOCKS = {block.title: block.text for block in read(PAGES / "tutorials" / "own-strategy.md").blocks}


@pytest.fixture
def own_strategy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "stay_close.py").write_text(BLOCKS["stay_close.py"])
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("stay_close", None)
    yield
    sys.modules.pop("stay_close", None)


@pytest.mark.usefixtures("own_strategy")
def test_the_strategy_of_ones_own_learns_resumes_and_is_checked(tmp_path: Path) -> None:
    text = BLOCKS["own.yaml"] + f"storage: {tmp_path}/store\n"
    text = text.replace("experiences: 2", "experiences: 5")
    pipeline = load_text(text)
    stream = build_stream(pipeline.stream, pipeline.seed)
    lineage = Lineage(open_store(pipeline.storage), pipeline.name)

    def rank_training(length: int) -> RankTraining:
        part = stream[:length]
        return RankTraining(
            pipeline=pipeline,
            stream=part,
            plan=make_plan(pipeline, part),
            lineage=lineage,
            group=Group(),
            device=torch.device("cpu"),
            on_event=lambda event: None,
        )

    rank_training(2).run()
    rank_training(3).run()  # loads its state from the lineage
    ref = lineage.ref("latest")
    assert ref is not None
    commit = lineage.read(ref.commit)
    assert commit.experience.index == 2
    assert "strategy.stayclose" in commit.blobs
    with pytest.raises(PipelineError, match="strength"):
        load_text(text.replace("strength: 0.1", "strength: -1"))

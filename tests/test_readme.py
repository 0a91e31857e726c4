"""What the README shows works as it is written."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import make_plan
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training.rank import Session
from pipelines.config.load import load_pipeline, load_text
from pipelines.config.pipeline_errors import PipelineError
from pipelines.data.streams import build_stream
from strategies.loop.process_group import Group

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def block(language: str, containing: str) -> str:
    found = [b for b in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if containing in b]
    assert len(found) == 1, f"{len(found)} blocks with {containing!r}"
    return str(found[0])


@pytest.fixture
def own_strategy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "stay_close.py").write_text(block("python", "class StayClose(Strategy)"))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("stay_close", None)


def test_the_pipeline_file_is_valid() -> None:
    pipeline = load_text(block("yaml", "name: split-mnist"))
    assert [spec.name for spec in pipeline.strategy] == ["ewc", "replay"]
    assert pipeline.train.at(3).optimizer.lr == 0.0001


@pytest.mark.usefixtures("own_strategy")
def test_the_strategy_of_ones_own_learns_resumes_and_is_checked(tmp_path: Path) -> None:
    head = (
        "name: own\nstream: {dataset: digits, setting: class-incremental, experiences: 5}\n"
        f"model: {{name: mlp, hidden: [16]}}\ntrain: {{epochs: 2, batch_size: 50}}\nstorage: {tmp_path}/store\n"
    )
    strategy = block("yaml", "stay_close:StayClose")
    pipeline = load_text(head + strategy)
    stream = build_stream(pipeline.stream, pipeline.seed)
    lineage = Lineage(open_store(pipeline.storage), pipeline.name)

    def session(length: int) -> Session:
        part = stream[:length]
        return Session(
            pipeline=pipeline,
            stream=part,
            plan=make_plan(pipeline, part),
            lineage=lineage,
            group=Group(),
            device=torch.device("cpu"),
            tell=lambda event: None,
        )

    session(2).run()
    session(3).run()  # loads its state from the lineage
    ref = lineage.ref("latest")
    assert ref is not None
    commit = lineage.read(ref.commit)
    assert commit.experience.index == 2
    assert "strategy.stayclose" in commit.blobs
    with pytest.raises(PipelineError, match="strength"):
        load_text(head + strategy.replace("strength: 0.1", "strength: -1"))


@pytest.mark.parametrize("file", sorted(ROOT.glob("pipelines/examples/**/*.yaml")), ids=lambda file: file.stem)
def test_every_pipeline_file_is_valid(file: Path) -> None:
    load_pipeline(file)


def test_the_files_and_commands_that_it_names_exist() -> None:
    for path in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / path).exists(), path
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make ([a-z]+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target

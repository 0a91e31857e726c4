"""A model that starts from a commit or a file: ids by content, the same bits after a resume, no source needed later."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from orchestrator.checkpointing.commit_weights import commit_weights
from orchestrator.checkpointing.load_model import load_model
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import make_plan
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training.in_process import train_in_process
from pipelines.build import make_model, make_stream
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.schema import Pipeline
from tests.orchestrator.train_stream import train


def pipeline(folder: Path, name: str, weights: str = "null", more: str = "") -> Pipeline:
    return load_text(
        f"name: {name}\nstream: {{dataset: digits, experiences: 2}}\nmodel: {{name: mlp, hidden: [8], "
        f"weights: {weights}}}\ntrain: {{steps: 3{more}}}\nstorage: {folder}\n"
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], dict[str, Tensor]]:
    folder = tmp_path_factory.mktemp("store")
    ids = train(pipeline(folder, "base"))
    state = load_model(pipeline(folder, "base")).state_dict()
    torch.save(state, folder / "base.pt")
    return folder, ids, state


Base = tuple[Path, list[str], dict[str, Tensor]]


def test_file_and_commit_of_the_same_content_are_the_same_lineage(base: Base) -> None:
    folder, ids, state = base
    forms = [str(folder / "base.pt"), "{commit: latest, pipeline: base}", f"{{commit: {ids[1][:9]}, pipeline: base}}"]
    plans = []
    for weights in forms:
        made = pipeline(folder, "tuned", weights)
        stream = make_stream(made)
        assert all(torch.equal(t, state[n]) for n, t in make_model(made, stream).state_dict().items())
        plans.append([planned.id for planned in make_plan(made, stream)])
    assert plans[0] == plans[1] == plans[2] and not set(plans[0]) & set(ids)
    earlier = pipeline(folder, "tuned", f"{{commit: {ids[0]}, pipeline: base, storage: {folder}}}")
    assert make_plan(earlier, make_stream(earlier))[0].id != plans[0][0]
    missing = pipeline(folder, "tuned", f"{{path: {folder}/base.pt, missing: [x]}}")
    assert make_plan(missing, make_stream(missing))[0].id != plans[0][0]
    assert [p.id for p in make_plan(pipeline(folder, "tuned"), make_stream(earlier))] == ids


def test_a_resumed_run_learns_the_same_bits_and_the_model_needs_no_source(base: Base, tmp_path: Path) -> None:
    state = base[2]
    torch.save(state, tmp_path / "w.pt")
    more = ", freeze: ['body.*']"
    made = [pipeline(tmp_path / name, "t", str(tmp_path / "w.pt"), more) for name in ("whole", "parts")]
    ids = train(made[0])
    stream = make_stream(made[1])
    plan = make_plan(made[1], stream)
    lineage = Lineage(open_store(made[1].storage), "t")
    train_in_process(made[1], stream, plan[:1], lineage, lambda event: None)
    train_in_process(made[1], stream, plan, lineage, lambda event: None)
    assert [planned.id for planned in plan] == ids
    whole = Lineage(open_store(made[0].storage), "t")
    assert [lineage.read(i).blobs for i in ids] == [whole.read(i).blobs for i in ids]
    # A file that changes while a run is under way is noticed.
    torch.save({name: tensor + 1 for name, tensor in state.items()}, tmp_path / "w.pt")
    other = Lineage(open_store(str(tmp_path / "other")), "t")
    with pytest.raises(PipelineError, match=r"model\.weights: .*w\.pt has changed since this run began"):
        train_in_process(made[1], stream, plan, other, lambda event: None)
    (tmp_path / "w.pt").unlink()
    for number, id_ in enumerate(ids):
        model = load_model(made[0], id_)
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor, state[name]) == name.startswith("body"), (number, name)
    assert len(model.predict(torch.zeros(3, 1, 8, 8)).columns()["prediction"]) == 3


def test_no_such_commit_is_said(base: Base) -> None:
    with pytest.raises(PipelineError, match="no commit or ref of pipeline base called 'champion'"):
        commit_weights(str(base[0]), "base", "champion")

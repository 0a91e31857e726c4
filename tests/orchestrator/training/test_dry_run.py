"""One batch of a pipeline's own code without Ray: its errors are named with file, line and text."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orchestrator.cli.main import invoke
from orchestrator.training.dry_run import dry_run, refuse_main
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import PipelineError
from pipelines.data.streams import build_stream

OWN = """\
from torch import nn
from strategies import Strategy

class Net(nn.Sequential):
    def __init__(self, input_shape, outputs):
        super().__init__(nn.Flatten(), nn.Linear(64, outputs))

    def forward(self, x):
        return super().forward(x)

class Mine(Strategy):
    name = "mine"

    def before_experience(self, learner, *more):
        pass
"""
FILE = """\
name: small
stream: {{dataset: digits, setting: class-incremental, experiences: 2}}
model: {{name: "{0}:Net"}}
strategy: [{{name: "{0}:Mine"}}, {{name: replay, capacity: 10}}]
train: {{epochs: 1, batch_size: 60}}
"""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("        return super().forward(x)", "        return super().forward(x.no_such_thing)"),
        ("        pass", "        learner.no_such_thing()"),
    ],
)
def test_an_error_in_own_code(
    right: str, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, text in enumerate((OWN, OWN.replace(right, wrong))):
        name = f"dry_run_{abs(hash(wrong))}_{number}"
        (tmp_path / f"{name}.py").write_text(text)
        (tmp_path / f"p{number}.yaml").write_text(FILE.format(name))
    assert invoke(["validate", "p0.yaml", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "650 parameters" in out
    assert invoke(["validate", "p1.yaml", "--dry-run"]) in (1, 2)
    err = capsys.readouterr().err
    assert "no_such_thing" in err and "bug in Everlearn" not in err
    assert f"_1.py:{text.splitlines().index(wrong) + 1}: {wrong.strip()}" in err
    assert "ray" not in sys.modules or not sys.modules["ray"].is_initialized()


def test_built_in_parts_pass() -> None:
    pipeline = load_text("name: x\nstream: {dataset: digits, setting: class-incremental, experiences: 2}\nmodel: mlp\n")
    assert dry_run(pipeline, build_stream(pipeline.stream, pipeline.seed)) is None


def test_what_the_script_defines_is_refused_for_ray() -> None:
    pipeline = load_text("name: x\nstream: {dataset: digits, setting: class-incremental, experiences: 2}\nmodel: mlp\n")
    refuse_main(pipeline, "train.py")
    spec = pipeline.model.model_copy(update={"name": "__main__:Net"})
    with pytest.raises(PipelineError, match=r"train\.py: __main__:Net: Ray's workers cannot import"):
        refuse_main(pipeline.model_copy(update={"model": spec}), "train.py")

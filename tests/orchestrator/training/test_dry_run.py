"""One batch of a pipeline's own code without Ray: its errors are named with file, line and text."""

from __future__ import annotations

import os
import subprocess
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


SCRIPT = """\
import sys
from orchestrator import run
from orchestrator.errors import OrchestratorError
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import PipelineError
from torch import nn

class Net(nn.Linear):
    def __init__(self, input_shape, outputs):
        super().__init__(64, outputs)

TEXT = (
    "name: x\\nstream: {dataset: digits, setting: class-incremental, experiences: 2}\\n"
    "train: {epochs: 1, batch_size: 64, optimizer: {name: sgd, lr: 0.1}}\\nscaling: {workers: 2}\\n"
    "tracking: {uri: 'http://127.0.0.1:9'}\\nstorage: store\\n"
)
for parts in ("model: '__main__:Net'", "model: mlp\\nstrategy: [{name: 'broken_strategy:Broken'}]"):
    try:
        run(load_text(TEXT + parts, "x.yaml"))
        print("it ran")
    except (OrchestratorError, PipelineError) as error:
        print(" ".join(str(error).split()))
ray = sys.modules.get("ray")
print("Ray was started:", ray is not None and ray.is_initialized())
"""
BROKEN = """\
from strategies.methods.naive import Naive

class Broken(Naive):
    name = "broken"

    def after_experience(self, learner, experience):
        learner.no_such_thing()
"""


def test_a_run_refuses_them_before_ray_starts(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "broken_strategy.py").write_text(BROKEN)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "RAY_ADDRESS": ""}
    command = [sys.executable, "train.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    main, broken, ray = done.stdout.splitlines()
    assert "__main__:Net" in main and "train.py" in main
    assert "no_such_thing" in broken and "broken_strategy.py:7" in broken
    assert ray == "Ray was started: False"


def test_built_in_parts_pass() -> None:
    pipeline = load_text("name: x\nstream: {dataset: digits, setting: class-incremental, experiences: 2}\nmodel: mlp\n")
    assert dry_run(pipeline, build_stream(pipeline.stream, pipeline.seed)) is None


def test_what_the_script_defines_is_refused_for_ray() -> None:
    pipeline = load_text("name: x\nstream: {dataset: digits, setting: class-incremental, experiences: 2}\nmodel: mlp\n")
    refuse_main(pipeline, "train.py")
    spec = pipeline.model.model_copy(update={"name": "__main__:Net"})
    with pytest.raises(PipelineError, match=r"train\.py: __main__:Net: Ray's workers cannot import"):
        refuse_main(pipeline.model_copy(update={"model": spec}), "train.py")

"""Which commands import the code that a pipeline file names, and which call it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.cli.main import invoke
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.open_by_uri import open_store
from tests.orchestrator.cli.lineages import write_pipeline

OWN = """\
from pathlib import Path
from torch import nn
from strategies import Strategy

Path("imported").touch()

class Mine(Strategy):
    name = "mine"

    def __init__(self, options):
        Path("called").touch()
        super().__init__(options)

def load(): Path("called").touch()

def net(input_shape, outputs):
    Path("called").touch()
    return nn.Linear(input_shape[0], outputs)
"""
FILE = """\
name: small
stream: {{dataset: {{name: "{0}:load"}}, setting: class-incremental, experiences: 3}}
model: {{name: "{0}:net"}}
strategy: [{{name: "{0}:Mine"}}, {{name: replay, capacity: 10}}]
train: {{epochs: 1, batch_size: 60}}
storage: store
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    name = f"own_code_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(OWN)
    (tmp_path / "p.yaml").write_text(FILE.format(name))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["log", "p.yaml"], 0),
        (["show", "latest", "p.yaml"], 2),
        (["fsck", "p.yaml"], 3),
        (["gc", "p.yaml", "--dry-run"], 0),
        (["forget", "p.yaml", "--ids", "ids.txt"], 0),
        (["recommend", "p.yaml"], 0),
        (["publish", "p.yaml"], 2),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_commands_that_train_nothing_import_nothing_of_the_file(
    arguments: list[str], status: int, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    open_store("store").check()
    (folder / "ids.txt").write_text("1\n")
    assert invoke(arguments) == status, capsys.readouterr()
    assert not (folder / "imported").exists()


def test_validate_imports_the_code_and_calls_none_of_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["validate", "p.yaml"]) == 0
    out = capsys.readouterr().out
    assert ":load is not called here" in out and "3 experiences" in out
    assert (folder / "imported").exists() and not (folder / "called").exists()
    assert Lineage(open_store("store"), "small").refs() == {}


@pytest.mark.parametrize("command", ["validate", "publish", "run", "tune"])
def test_a_command_of_the_shell_is_no_dataset(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pipeline(folder)
    shell = '{name: "os:system", command: "touch called"}'
    assert invoke([command, "small.yaml", "--set", f"stream.dataset={shell}"]) == 2
    assert "--set stream.dataset" in capsys.readouterr().err
    text = (folder / "p.yaml").read_text().splitlines()
    text[1] = f"stream: {{dataset: {shell}, setting: class-incremental, experiences: 2}}"
    (folder / "p.yaml").write_text("\n".join(text))
    assert invoke([command, "p.yaml"]) == 2
    assert "p.yaml:2: stream.dataset.name: os:system is part of Python's standard library" in capsys.readouterr().err
    assert not (folder / "called").exists()

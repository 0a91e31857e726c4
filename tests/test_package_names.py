"""A user's project that has packages named like Everlearn's. That Ray's workers find both: `e2e/test_local_ray.py`.

Covers: `orchestrator/cluster/package_names.py` `strategies/api/shared_packages.py`
"""

import subprocess
import sys
from pathlib import Path

import pytest

PIPELINE = """\
name: own
stream: {dataset: "pipelines.table:load", setting: class-incremental, experiences: 2}
model: {name: mlp, hidden: [8]}
strategy: {name: "strategies.deep.mine:Mine"}
train: {steps: 3, batch_size: 8}
"""
TABLE = """\
import torch

from pipelines.sizes import ROWS


def load():
    x, y = torch.randn(ROWS, 4, generator=torch.Generator().manual_seed(0)), torch.arange(ROWS) % 4
    return (x, y), (x, y)
"""
MINE = '''\
from strategies import Strategy


class Mine(Strategy):
    """Mine."""
'''


def write_project(folder: Path) -> None:
    """A project whose packages are named like Everlearn's."""
    files = {
        "pipelines/__init__.py": "raise RuntimeError('never imported')\n",
        "pipelines/table.py": TABLE,
        "pipelines/sizes.py": "ROWS = 40\n",
        "strategies/deep/mine.py": MINE,
        "orchestrator/__init__.py": "raise RuntimeError('never imported')\n",
        "p.yaml": PIPELINE,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_project(tmp_path)
    return tmp_path


def python(project: Path, text: str) -> subprocess.CompletedProcess[str]:
    script = project / "main.py"
    script.write_text(text)
    return subprocess.run([sys.executable, str(script)], cwd=project, capture_output=True, text=True, timeout=120)


def command(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = str(Path(sys.executable).with_name("everlearn"))
    return subprocess.run([program, *arguments], cwd=project, capture_output=True, text=True, timeout=280)


def test_the_command_line_finds_both(project: Path) -> None:
    done = command(project, "validate", "p.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    assert "strategies.deep.mine:Mine" in done.stdout


def test_a_script_finds_both(project: Path) -> None:
    (project / "orchestrator" / "__init__.py").unlink()
    (project / "orchestrator").rmdir()
    text = (
        "from orchestrator import load_pipeline\nfrom pipelines import build_stream\n"
        "pipeline = load_pipeline('p.yaml')\nprint(len(build_stream(pipeline.stream, 0)))\n"
    )
    done = python(project, text)
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr


def test_a_script_imports_modules_of_its_own_packages(project: Path) -> None:
    """`import everlearn` comes first where the project has a package `orchestrator`, too."""
    (project / "orchestrator" / "mine.py").write_text("from orchestrator import Callback\n\nNAME = Callback.__name__\n")
    text = (
        "import everlearn\nfrom orchestrator import load_pipeline, run, tune\nfrom orchestrator.mine import NAME\n"
        "from pipelines.sizes import ROWS\nfrom pipelines.table import load\nfrom strategies.deep.mine import Mine\n"
        "print(NAME, ROWS, Mine.__name__, len(load()), load_pipeline('p.yaml').name)\n"
    )
    done = python(project, text)
    assert (done.returncode, done.stdout) == (0, "Callback 40 Mine 2 own\n"), done.stderr
    before = python(project, "from orchestrator import run\n")
    assert "RuntimeError: never imported" in before.stderr, "without it Python takes the project's own package"


def test_a_module_that_nobody_has_is_not_found(project: Path) -> None:
    done = python(project, "import everlearn\nimport pipelines.sizes\nimport strategies.deep.other\n")
    assert "No module named 'strategies.deep.other'" in done.stderr


def test_ones_own_that_came_first_is_named_with_everlearns(project: Path) -> None:
    (project / "orchestrator" / "__init__.py").unlink()
    (project / "orchestrator").rmdir()
    (project / "pipelines" / "__init__.py").write_text("")
    done = python(project, "import pipelines.sizes\nimport orchestrator\n")
    last = done.stderr.strip().splitlines()[-2:]
    assert done.returncode == 1 and str(project / "pipelines" / "__init__.py") in last[0]
    assert "hides Everlearn's in" in last[0] and "rename yours" in last[1]
    late = python(project, "import pipelines\nimport everlearn\n").stderr.strip().splitlines()[-2:]
    assert str(project / "pipelines" / "__init__.py") in late[0] and "hides Everlearn's in" in late[0]


def test_a_module_that_everlearn_has_too_is_named_with_both_files(project: Path) -> None:
    (project / "pipelines" / "build.py").write_text(TABLE)
    done = command(project, "validate", "p.yaml", "--set", "stream.dataset=pipelines.build:load")
    assert done.returncode == 2 and str(project / "pipelines" / "build.py") in done.stderr
    assert "it is Everlearn's" in done.stderr and "Rename yours" in done.stderr

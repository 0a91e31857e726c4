"""What a file's import paths name goes along with the job, and what lies elsewhere is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.jobs.runtime_env import FILE, prepare

TEXT = """\
name: small
stream: {dataset: digits, setting: class-incremental, experiences: 2}
model: {name: "sent_model:Net"}
strategy: [{name: "sent_package.deep:Own"}]
storage: s3://b/p
tracking: {uri: "http://mlflow:5000"}
"""
MODULES = {
    "sent_model.py": "import torch\nfrom sent_helper import WIDTH\n\ndef Net(shape, outputs):\n"
    "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(WIDTH, outputs))\n",
    "sent_helper.py": "import sent_other.inner\nWIDTH = 64\n",
    "sent_other/__init__.py": "",
    "sent_other/inner.py": "",
    "sent_package/__init__.py": "from . import deep\n",
    "sent_package/deep.py": "from strategies.api.strategy import Strategy\n\nclass Own(Strategy):\n    pass\n",
    "not_named.py": "",
    "private.csv": "",
}


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(MODULES[name])


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline file in a folder of its own; another one is the working directory."""
    monkeypatch.syspath_prepend(str(tmp_path / "work"))
    (tmp_path / "work").mkdir()
    (tmp_path / "files").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    (tmp_path / "files" / "small.yaml").write_text(TEXT)
    return tmp_path / "files" / "small.yaml"


def forget_modules() -> None:
    import sys

    from pipelines.config.components import _resolve

    _resolve.cache_clear()
    for name in [name for name in sys.modules if name.startswith("sent_")]:
        del sys.modules[name]


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> object:
    import sys

    monkeypatch.setattr(sys, "path", [*sys.path])
    forget_modules()
    yield
    forget_modules()


def in_the_job(file: Path, modules: Path | None = None) -> set[str]:
    with prepare([file], modules=modules).folder() as folder:
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


NEEDED = {name for name in MODULES if name.startswith("sent_")}


@pytest.mark.parametrize("place", ["files", "work"])
def test_modules_beside_the_file_and_in_the_working_directory_go_along_with_what_they_import(
    place: str, file: Path, tmp_path: Path
) -> None:
    write(tmp_path / place, *MODULES)
    assert in_the_job(file) == {FILE, *NEEDED}
    assert prepare([file]).warnings == ()


def test_what_the_working_dir_of_the_job_lacks_is_added(file: Path, tmp_path: Path) -> None:
    write(tmp_path / "modules", "sent_package/__init__.py", "sent_package/deep.py", "private.csv")
    write(tmp_path / "files", *(name for name in MODULES if "package" not in name))
    assert in_the_job(file, tmp_path / "modules") == {FILE, *NEEDED, "private.csv"}


def test_a_module_that_lies_elsewhere_is_said_in_one_line(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "elsewhere", *MODULES)
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    shipment = prepare([file])
    assert shipment.beside == {}
    remedy = "is not sent with the job: name its folder with --working-dir"
    assert shipment.warnings == (
        f"sent_model:Net: {tmp_path}/elsewhere/sent_model.py {remedy}",
        f"sent_package.deep:Own: {tmp_path}/elsewhere/sent_package {remedy}",
    )

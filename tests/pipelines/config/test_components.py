import sys
from pathlib import Path

import pytest

from pipelines.config.components import BUILT_IN, Component, Kind, component, names, resolve
from pipelines.config.pipeline_errors import PipelineError
from tests.pipelines import own_components

OWN = "tests.pipelines.own_components"


def refused(kind: Kind, name: str) -> str:
    with pytest.raises(PipelineError) as error:
        resolve(kind, name)
    (problem,) = error.value.problems
    assert "\n" not in problem
    return problem


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, table in BUILT_IN.items() for name in table])
def test_everything_built_in_is_there_with_a_summary(kind: Kind, name: str) -> None:
    assert callable(resolve(kind, name))
    assert any(row.name == name and row.origin == "built-in" and row.summary for row in names(kind))


def test_import_paths() -> None:
    assert resolve("strategies", f"{OWN}:Hold") is own_components.Hold
    assert resolve("datasets", f"{OWN}:dataset") is own_components.dataset


def test_one_component_says_where_it_comes_from() -> None:
    assert component("strategies", f"{OWN}:Hold") == Component(f"{OWN}:Hold", "Holds", "import path")
    assert component("models", "mlp").origin == "built-in"
    with pytest.raises(PipelineError, match="did you mean 'mlp'"):
        component("models", "mlpp")


def test_an_unknown_name_lists_the_known_ones() -> None:
    problem = refused("strategies", "ewcc")
    assert problem.startswith("unknown strategy 'ewcc', did you mean 'ewc'? Known: ")
    assert all(name in problem for name in BUILT_IN["strategies"])
    assert refused("datasets", "zzz").startswith("unknown dataset 'zzz'. Known: ")


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        (
            "datasets",
            "no_such_package.data:load",
            "cannot import no_such_package.data: No module named 'no_such_package'",
        ),
        ("datasets", f"{OWN}:datset", f"{OWN} has no 'datset', did you mean 'dataset'?"),
        ("datasets", f"{OWN}:not_callable", "is not a dataset, which is a function or a class"),
        ("strategies", f"{OWN}:Net", "is not a strategy, a class derived from"),
        ("models", "a b:c", "'a b:c' is not an import path"),
        ("models", ":x", "is not an import path"),
        ("models", "x:", "is not an import path"),
    ],
)
def test_what_cannot_be_imported(kind: Kind, name: str, message: str) -> None:
    assert message in refused(kind, name)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    return tmp_path


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def load(:\n", "SyntaxError: "),
        ("raise RuntimeError('first line\\nsecond line')", "RuntimeError: first line"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import no_such_package", "No module named 'no_such_package'"),
        ("raise ValueError('https://me:pw@host')", "ValueError: https://***@host"),
    ],
)
def test_a_module_that_fails_says_why_in_one_line(folder: Path, code: str, message: str) -> None:
    name = f"failing_{abs(hash(code))}"
    (folder / f"{name}.py").write_text(code)
    assert refused("datasets", f"{name}:load").startswith(f"cannot import {name}: {message}")


def test_modules_are_found_in_the_working_directory(folder: Path) -> None:
    (folder / "module_in_working_directory.py").write_text("def load(): 'Loads.'\n")
    assert resolve("datasets", "module_in_working_directory:load").__doc__ == "Loads."


def test_entry_points(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = folder / "everlearn_extra-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: everlearn-extra\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(
        f"[everlearn.strategies]\nhold = {OWN}:Hold\newc = {OWN}:Hold\nlost = {OWN}:Lost\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    rows = {row.name: row for row in names("strategies")}
    assert rows["hold"] == ("hold", "Holds", "everlearn-extra 1.2")
    assert rows["lost"].summary.startswith(f"{OWN} has no 'Lost'")
    assert rows["ewc"].origin == "built-in"
    assert resolve("strategies", "hold") is own_components.Hold
    assert resolve("strategies", "ewc") is not own_components.Hold
    assert "hold" in refused("strategies", "holdd")

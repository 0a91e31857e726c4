"""A pipeline file reaches the user's own code and what is marked, and no other function of any library."""

from __future__ import annotations

import sys

import pytest

from pipelines.config import import_path
from pipelines.config.components import Kind, NotImported, resolve, without_own_code
from pipelines.config.pipeline_errors import PipelineError

LIBRARY = """\
import os
import pipelines
from strategies import Strategy

def unmarked(): ...

@pipelines.dataset
def rows(): ...

@pipelines.model
def net(input_shape, outputs): ...

class Method(Strategy):
    name = "method"
"""
OWN = """\
import functools, os, shutil
from os import system
from a_library import unmarked, rows as theirs

def load(): ...

class Table:
    @classmethod
    def read(cls): ...

small = functools.partial(load)
shell = functools.partial(system)
twice = functools.partial(functools.partial(os.system), "true")
WORDS = []
"""


@pytest.fixture(scope="module", autouse=True)
def library(tmp_path_factory: pytest.TempPathFactory) -> None:
    """a_library is installed, my_own lies in the working directory."""
    folder = tmp_path_factory.mktemp("project")
    installed = folder / ".venv" / "lib" / "site-packages"
    installed.mkdir(parents=True)
    (installed / "a_library.py").write_text(LIBRARY)
    (folder / "my_own.py").write_text(OWN)
    before = list(sys.path)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", [path for path in sys.path if path] + [str(installed)])
        import_path.installed_folders.cache_clear()
        yield
    import_path.installed_folders.cache_clear()
    sys.path[:] = before
    for name in ("a_library", "my_own"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("datasets", "my_own:load"),
        ("datasets", "my_own:Table.read"),
        ("datasets", "my_own:small"),
        ("models", "my_own:Table"),
        ("datasets", "a_library:rows"),
        ("datasets", "my_own:theirs"),
        ("models", "a_library:net"),
        ("strategies", "a_library:Method"),
        ("strategies", "strategies.methods.ewc:EWC"),
        ("datasets", "pipelines.data.datasets.digits:load"),
    ],
)
def test_own_and_marked_code_is_found(kind: Kind, name: str) -> None:
    assert callable(resolve(kind, name))


REFUSED = [
    "os:system",
    "os:path.join",
    "posix:system",
    "subprocess:run",
    "builtins:exec",
    "importlib:import_module",
    "my_own:os.system",
    "my_own:system",
    "my_own:shutil.rmtree",
    "my_own:shell",
    "my_own:twice",
    "my_own:functools.partial",
    "my_own:unmarked",
    "my_own:WORDS.append",
    "my_own:Table.__subclasses__",
    "my_own:load.__call__",
    "a_library:unmarked",
    "a_library:os.system",
    "a_library:pipelines.load_pipeline",
    "torch:load",
    "torch.hub:load",
    "numpy:load",
    "yaml:unsafe_load",
    "orchestrator:run",
    "orchestrator.cli.main:invoke",
    "pipelines.config.load:load_pipeline",
    "pip.__main__:os.system",
]


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("kind", ["datasets", "models"])
def test_everything_else_is_refused_in_one_line_with_the_remedy(kind: Kind, name: str) -> None:
    with pytest.raises(PipelineError) as refused:
        resolve(kind, name)
    (problem,) = refused.value.problems
    assert name in problem and "\n" not in problem
    assert "beside the file" in problem or "would run a program" in problem


def test_the_mark_of_one_kind_is_not_that_of_another() -> None:
    with pytest.raises(PipelineError, match=r"mark it with @pipelines\.model there"):
        resolve("models", "a_library:rows")


def test_the_standard_library_is_not_even_imported() -> None:
    sys.modules.pop("antigravity", None)
    with pytest.raises(PipelineError):
        resolve("datasets", "antigravity:fly")
    assert "antigravity" not in sys.modules


def test_without_own_code_nothing_of_the_file_is_imported() -> None:
    with without_own_code():
        with pytest.raises(NotImported):
            resolve("datasets", "not_even_looked_for:load")
        assert callable(resolve("datasets", "digits"))

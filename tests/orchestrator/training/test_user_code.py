"""Finding the user's own line in a traceback."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from orchestrator.training.user_code import user_line
from orchestrator.training.worker_error import as_error, as_event

MINE = """\
def outer(function):
    return inner(function)


def inner(function):
    return function()
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    (tmp_path / "mine_of_user.py").write_text(MINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("mine_of_user", None)
    import mine_of_user  # type: ignore[import-not-found]

    found: ModuleType = mine_of_user
    return found


def test_the_innermost_line_that_is_not_of_a_library(mine: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(TypeError) as caught:
        mine.outer(json.loads)  # without its argument: raised in the call itself
    assert user_line(caught.value) == f"{tmp_path / 'mine_of_user.py'}:6: return function()"


def test_an_error_of_a_library_alone_has_none() -> None:
    from pipelines.config.load import load_text
    from pipelines.config.pipeline_errors import PipelineError

    with pytest.raises(PipelineError) as caught:
        load_text("")
    trace = caught.value.__traceback__
    assert trace is not None and trace.tb_next is not None
    assert user_line(caught.value.with_traceback(trace.tb_next)) is None


def test_the_error_of_a_worker_names_it_and_keeps_the_traceback_for_debug(mine: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(TypeError) as caught:
        mine.outer(json.loads)
    error = as_error(as_event(caught.value))
    first, second = str(error).splitlines()
    assert first.startswith("TypeError in a worker: ") and second.startswith(f"{tmp_path / 'mine_of_user.py'}:6")
    assert "return inner(function)" in "".join(error.__notes__)


def test_a_function_that_does_not_take_its_arguments_is_named_by_its_definition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd_hook.py").write_text("class Odd:\n    def loss_term(self, learner):\n        return None\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    odd = importlib.import_module("odd_hook").Odd()
    with pytest.raises(TypeError) as caught:
        odd.loss_term(1, 2, 3)
    assert user_line(caught.value.with_traceback(None)) == f"{tmp_path / 'odd_hook.py'}:2: def loss_term(self, learner)"
    assert user_line(TypeError("len() takes exactly one argument (2 given)")) is None
    assert user_line(ValueError("Odd.loss_term() takes 2")) is None

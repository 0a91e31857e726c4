import io
from typing import Any

import pytest
from rich.console import Console

from orchestrator.cli.support.option_table import option_table
from pipelines.config.option_list import Option


@pytest.mark.parametrize(
    ("default", "written"),
    [
        (1000.0, "1000"),
        (0.001, "0.001"),
        (None, "null"),
        (False, "false"),
        ([400, 400], "[400, 400]"),
        ("relu", "relu"),
    ],
)
def test_a_default_as_it_would_stand_in_a_file(default: Any, written: str) -> None:
    assert shown(Option("x", "any value", False, default, None)) == f"x any value; default {written}"


def test_a_required_option_has_no_default() -> None:
    assert shown(Option("path", "text", True, None, "Where it is.")) == "path text; required Where it is."


def shown(option: Option) -> str:
    console = Console(file=io.StringIO(), width=80)
    console.print(option_table(option))
    return " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]

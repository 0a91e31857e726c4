"""What the README shows works as it is written. Its blocks are run with those of the documentation, in tests/docs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipelines.config.load import load_pipeline, load_text

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
LONGEST = 150


def block(language: str, containing: str) -> str:
    found = [b for b in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if containing in b]
    assert len(found) == 1, f"{len(found)} blocks with {containing!r}"
    return str(found[0])


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= LONGEST


def test_the_pipeline_file_is_valid() -> None:
    pipeline = load_text(block("yaml", "name: split-mnist"))
    assert [spec.name for spec in pipeline.strategy] == ["ewc", "replay"]
    assert pipeline.train.at(3).optimizer.lr == 0.0001


@pytest.mark.parametrize("file", sorted(ROOT.glob("pipelines/examples/**/*.yaml")), ids=lambda file: file.stem)
def test_every_pipeline_file_is_valid(file: Path) -> None:
    load_pipeline(file)


def test_the_files_and_commands_that_it_names_exist() -> None:
    for path in re.findall(r"\]\((?!http)([^)#]+)", README):
        assert (ROOT / path).exists(), path
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make ([a-z]+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target

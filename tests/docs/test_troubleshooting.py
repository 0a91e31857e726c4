"""Each error message that the troubleshooting page explains is one that the code can give."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.docs.pages import PAGES, ROOT, read

PAGE = read(PAGES / "how-to" / "troubleshooting.md")
MESSAGES = re.findall(r"`([^`]+)`", "\n".join(re.findall(r"^### (.*)$", PAGE.text, re.MULTILINE)))
HOLE = "\0"


def texts() -> Iterator[str]:
    """The texts in the code, each with a mark where a value is put in."""
    for package in ("orchestrator", "pipelines", "strategies"):
        for file in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.JoinedStr):
                    yield "".join(str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield re.sub(r"\{\w+\}", HOLE, node.value)


@pytest.fixture(scope="module")
def every_text() -> list[str]:
    return list(texts())


def test_the_page_explains_messages() -> None:
    assert len(MESSAGES) > 15


@pytest.mark.parametrize("message", MESSAGES)
def test_the_code_has_the_message(message: str, every_text: list[str]) -> None:
    parts = [part.strip() for part in message.split("...") if part.strip()]
    pattern = re.compile(".*".join(map(re.escape, parts)), re.DOTALL)
    assert any(pattern.search(text) for text in every_text), message

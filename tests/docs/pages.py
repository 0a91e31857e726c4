"""The pages of the documentation and their code blocks, as tests read them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "pages"

_FENCE = re.compile(r"^( *)```(\S*)(?: title=\"([^\"]*)\")?\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One code block.

    Attributes:
        language: what stands behind the fence.
        title: the name of the file that it is, or of the program that it is for; empty: none.
        line: of the page, from 1.
    """

    language: str
    title: str
    text: str
    line: int


@dataclass(frozen=True)
class Page:
    """One page: its name without folder and ending, its text, and what its front matter says."""

    name: str
    text: str
    settings: dict[str, Any]

    @property
    def blocks(self) -> list[Block]:
        """Its code blocks in their order."""
        found = []
        for match in _FENCE.finditer(self.text):
            indent, language, title, text = match.groups()
            lines = (line.removeprefix(indent) for line in text.splitlines(keepends=True))
            line = self.text.count("\n", 0, match.start()) + 1
            found.append(Block(language, title or "", "".join(lines), line))
        return found

    @property
    def prose(self) -> str:
        """Its text without code blocks."""
        return _FENCE.sub("", self.text)


def read(path: Path) -> Page:
    """The page in a file."""
    text = path.read_text("utf-8")
    front = _FRONT_MATTER.match(text)
    name = path.relative_to(PAGES).as_posix() if path.is_relative_to(PAGES) else path.name
    return Page(name, text, yaml.safe_load(front[1]) if front else {})


def pages() -> list[Page]:
    """Every page that a person wrote, the README among them."""
    return [read(path) for path in (ROOT / "README.md", *sorted(PAGES.rglob("*.md")))]

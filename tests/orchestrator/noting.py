"""A strategy that notes where the learning happens, and waits until it happens in enough places."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from strategies.api.data import Experience
from strategies.api.strategy import Strategy, StrategyOptions
from strategies.loop.learner import Learner


class NotingOptions(StrategyOptions):
    """Attributes:
    folder: where the notes are kept, a file for each process.
    size, nodes: of the group, and how many nodes are noted, before experience 1 continues.
    """

    folder: str
    size: int = 1
    nodes: int = 1


class Noting(Strategy):
    """Note experience, size of the group, and node."""

    name = "noting"
    Options = NotingOptions

    def before_experience(self, learner: Learner, experience: Experience) -> None:
        options: Any = self.options
        note = {"experience": experience.index, "size": learner.group.size, "node": _node()}
        with (Path(options.folder) / f"{os.getpid()}").open("a") as file:
            file.write(json.dumps(note) + "\n")
        until = time.monotonic() + 120
        while experience.index == 1 and time.monotonic() < until:
            here = {note["node"] for note in notes(Path(options.folder)) if note["experience"] == 1}
            if learner.group.size >= options.size and len(here) >= options.nodes:
                return
            time.sleep(0.1)


def notes(folder: Path) -> list[dict[str, Any]]:
    """All notes that were taken."""
    lines = (line for path in folder.iterdir() for line in path.read_text().splitlines(keepends=True))
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _node() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id()) if ray.is_initialized() else "none"

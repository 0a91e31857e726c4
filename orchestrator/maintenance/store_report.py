"""The result of verifying a store: damaged objects, and the commits that can be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Damage:
    """A damaged or missing object.

    Attributes:
        key: of the object.
        problem: what is wrong with it.
        commits: ids of the commits that need the object.
    """

    key: str
    problem: str
    commits: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"object": self.key, "problem": self.problem, "commits": list(self.commits)}


@dataclass
class Report:
    """The result for one pipeline.

    Attributes:
        pipeline: its name.
        commits, blobs, bytes: how much is stored.
        damage: all damaged objects, sorted by key.
        usable: ids of the commits that can be loaded, with all their ancestors.
        refs: by name, the commit and the newest usable one of its history (None: none).
        later: for `latest` where it was set back, the ids of the commits that follow its commit, oldest first.
        unreferenced: keys of blobs that no commit needs, and of unfinished writes of killed runs; `gc` removes them.
        unknown: keys that Everlearn did not write.
    """

    pipeline: str
    commits: int = 0
    blobs: int = 0
    bytes: int = 0
    damage: list[Damage] = field(default_factory=list)
    usable: list[str] = field(default_factory=list)
    refs: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    later: list[str] = field(default_factory=list)
    unreferenced: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "pipeline": self.pipeline,
            "commits": self.commits,
            "blobs": self.blobs,
            "bytes": self.bytes,
            "damage": [damage.to_json() for damage in self.damage],
            "usable": self.usable,
            "refs": {name: {"commit": commit, "newest_usable": newest} for name, (commit, newest) in self.refs.items()},
            "later_than_latest": self.later,
            "unreferenced": self.unreferenced,
            "unknown": self.unknown,
        }


def later_commits(parents: Mapping[str, str | None], commit: str) -> list[str]:
    """The longest chain of commits that follow a commit, oldest first.

    Args:
        parents: of each commit, by id; None for the first of a lineage.
        commit: an id.
    """
    best: list[str] = []
    for tip in parents:
        chain: list[str] = []
        current: str | None = tip
        while current is not None and current != commit and current in parents:
            chain.append(current)
            current = parents[current]
        if current == commit and len(chain) > len(best):
            best = chain
    return best[::-1]

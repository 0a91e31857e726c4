"""Small chains of commits to test with."""

import hashlib
from collections.abc import Mapping
from typing import Any

from orchestrator.lineage.commit import Commit
from orchestrator.lineage.lineage import Lineage


def make_commit(index: int, parent: Commit | None, blobs: Mapping[str, bytes], /, **fields: Any) -> Commit:
    """The commit of experience `index` after `parent`, with `blobs` by their names in the commit."""
    defaults: dict[str, Any] = {
        "parent": parent.id if parent else None,
        "pipeline": "split-digits",
        "experience": {
            "index": index,
            "task": index,
            "classes": [2 * index, 2 * index + 1],
            "fingerprint": f"data {index}",
            "samples": 100,
        },
        "spec": {"model": {"name": "mlp", "hidden": [400, 400]}, "seed": 0},
        "row": [
            {"experience": j, "test": f"test {j}", "correct": max(10 - abs(index - j), 0), "total": 10}
            for j in range(3)
        ],
        "blobs": {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in blobs.items()
        },
    }
    return Commit.create(**{**defaults, **fields})


def write_chain(lineage: Lineage, length: int) -> list[Commit]:
    """Write so many commits, each with a model of its own; oldest first."""
    chain: list[Commit] = []
    for index in range(length):
        blobs = {"model": f"model {index}".encode()}
        commit = make_commit(index, chain[-1] if chain else None, blobs)
        chain.append(lineage.write(commit, blobs.values()))
    return chain

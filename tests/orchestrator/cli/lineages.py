"""A pipeline file and a lineage of it in a folder, made without training."""

from pathlib import Path

import torch

from orchestrator.lineage.commit import Commit
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.folder_store import FolderStore
from orchestrator.storage.tensors import encode

PIPELINE = """
name: small
stream: {dataset: digits, experiences: 3}
model: {name: mlp, hidden: [8]}
strategy: [{name: replay, capacity: 10}]
"""


def write_pipeline(folder: Path) -> Path:
    """The pipeline file; its store is the default one, below `folder`."""
    file = folder / "small.yaml"
    file.write_text(PIPELINE)
    return file


def write_lineage(folder: Path, length: int = 3, of: int = 3, pipeline: str = "small") -> list[Commit]:
    """Commits of `length` experiences, oldest first: accuracy 0.9 on the newest, 0.1 less for each experience since."""
    lineage = Lineage(FolderStore(folder / ".everlearn/store"), pipeline)
    chain: list[Commit] = []
    for index in range(length):
        blob = encode({"weight": torch.full((2, 2), float(index))})
        sha256 = lineage.put_blob(blob)
        record = {"sha256": sha256, "bytes": len(blob)}
        tests = [(j, f"test-{j}") for j in range(of)]
        commit = Commit.create(
            parent=chain[-1].id if chain else None,
            pipeline=pipeline,
            experience={
                "index": index,
                "task": index,
                "classes": [2 * index, 2 * index + 1],
                "fingerprint": f"data-{index}",
                "samples": 100,
            },
            spec={"seed": 0, "model": {"name": "mlp", "hidden": [8]}},
            row=[
                {"experience": j, "test": test, "correct": 90 - 10 * (index - j) if j <= index else 0, "total": 100}
                for j, test in tests
            ],
            baseline=[{"experience": j, "test": test, "correct": 10, "total": 100} for j, test in tests if not index],
            quality={
                "flips": [10] * index or None,
                "classes": [[unit, 40 - 5 * (index - unit // 2), 50] for unit in range(2 * index + 2)],
                "confusion": [[0, 1, 3], [0, 2, 7]] if index else [],
                "calibration": [[10, 4, 5.5], [90, 81, 85.5]],
            },
            size={"parameters": 1234, "bytes": 4936, "memory": 1_500_000},
            task_labels="inferred" if index == 2 else None,
            blobs={"model": record},
            memories={"replay": {"shards": [{"experience": 0, **record, "lengths": {"0": 5, "1": 5}}]}},
            steps=4,
            losses=[(4, 0.5, 1_700_000_000_000)],
            versions={"torch": "2.13.0"},
            timings={"learn": 1.5},
        )
        chain.append(lineage.write(commit))
        lineage.point("latest", commit.id)
    return chain

"""Chains of commits made up for the tests: as a run leaves them, but for the blobs."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.lineage.commit import Commit
from pipelines.config.load import load_text
from pipelines.config.schema import Pipeline

BEGIN = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
TESTED = 200


def make_pipeline(uri: str, *, name: str = "split-digits", experiment: str = "", workers: int = 1) -> Pipeline:
    return load_text(
        f"""
name: {name}
stream: {{dataset: digits, setting: class-incremental, experiences: 5}}
model: {{name: mlp, hidden: [16]}}
strategy: [{{name: ewc, lambda: 10}}, {{name: replay, capacity: 200}}]
scaling: {{workers: {workers}}}
tracking: {{uri: "{uri}"{f', experiment: "{experiment}"' if experiment else ""}}}
""",
        source="test.yaml",
        overrides=[],
    )


def correct(i: int, j: int) -> int:
    """Right answers, of `TESTED`, on experience j after training on experience i."""
    return TESTED - 3 * (j % 3) - 9 * (i - j) if j <= i else 10 + i


def make_chain(
    length: int = 5, *, tests: int | None = None, points: int = 20, strategy: str | None = None
) -> list[Commit]:
    """The first `length` commits of a stream whose test sets are `tests` (default: `length`)."""
    tests = length if tests is None else tests
    chain: list[Commit] = []
    for i in range(length):
        begun = BEGIN + timedelta(seconds=30 * i)
        fields: dict[str, Any] = {
            "parent": chain[-1].id if chain else None,
            "pipeline": "split-digits",
            "experience": {
                "index": i, "task": i, "classes": [2 * i, 2 * i + 1], "fingerprint": _hash(f"train {i}"),
                "samples": 300 + i,
            },
            "spec": {"seed": 0} | ({} if strategy is None else {"strategy": [{"name": strategy}]}),
            "row": [_count(j, correct(i, j)) for j in range(tests)],
            "baseline": [_count(j, 20) for j in range(tests)] if i == 0 else [],
            "quality": {
                "flips": [4] * i if i else None,
                "classes": [[unit, TESTED // 2 - unit, TESTED // 2] for unit in range(2 * i + 2)],
                "confusion": [[unit, (unit + 1) % (2 * i + 2), unit] for unit in range(1, 2 * i + 2)],
                "calibration": [[TESTED, 150, 160.0]],
            },
            "size": {"parameters": 100, "bytes": 400, "memory": 1000 * i},
            "losses": [
                (5 * (p + 1), 2.3 / (1 + 0.7 * p) + 0.01 * i, int((begun.timestamp() + p) * 1000))
                for p in range(points)
            ],
            "steps": 5 * points,
            "timings": {"learn": 20.5 + i, "evaluate": 1.25, "consolidate": 0.5},
            "created": (begun + timedelta(seconds=25)).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }  # fmt: skip
        chain.append(Commit.create(**fields))
    return chain


def _count(j: int, right: int) -> dict[str, Any]:
    return {"experience": j, "test": _hash(f"test {j}"), "correct": max(right, 0), "total": TESTED}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

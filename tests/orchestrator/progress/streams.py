"""A run as its reporters see it: the events of a stream of experiences, made by hand."""

from typing import Any

from orchestrator.events import CommitWritten, Event, ExperienceStarted, StageStarted, StepDone
from orchestrator.progress.run_reporter import Summary
from orchestrator.result import RunResult

LOSSES = [[1, 2.3, 0], [9, 0.25, 0]]


def commit(index: int, of: int = 3) -> dict[str, Any]:
    """Experience j after training on `index`: 90 % right for the newest, 5 points less for each experience since."""
    row = [
        {"experience": j, "correct": max(0, 90 - 5 * (index - j)) if j <= index else 0, "total": 100} for j in range(of)
    ]
    experience = {"index": index, "classes": [2 * index, 2 * index + 1]}
    return {
        "id": f"{index:064x}",
        "experience": experience,
        "row": row,
        "losses": LOSSES,
        "timings": {"learn": 1.5, "evaluate": 0.25},
    }


def summary(of: int = 3, reused: int = 0) -> Summary:
    return {
        "pipeline": "split-digits",
        "experiences": of,
        "reused": reused,
        "setting": "class-incremental",
        "dataset": "digits",
        "model": "mlp",
        "strategies": ["ewc", "replay"],
        "workers": 2,
        "storage": ".everlearn/store",
        "chain": [commit(index, of) for index in range(reused)],
    }


def events(first: int = 0, of: int = 3, steps: int = 4) -> list[Event]:
    out: list[Event] = []
    for index in range(first, of):
        out.append(ExperienceStarted(index, steps, of))
        for step in range(1, steps + 1):
            out.append(StepDone(index, step, steps, 1.0 / step, rate=1234.5))
        out += [StageStarted(index, stage) for stage in ("consolidating", "evaluating", "committing")]
        out.append(CommitWritten(commit(index, of)))
    return out


def result(of: int = 3, reused: int = 0, run_id: str | None = "r1") -> RunResult:
    matrix = [[entry["correct"] / entry["total"] for entry in commit(index, of)["row"]] for index in range(of)]
    return RunResult(
        pipeline="split-digits",
        lineage=[f"{index:064x}" for index in range(of)],
        score_matrix=matrix,
        metrics={"average_accuracy": 0.85, "forgetting": 0.075},
        trained=of - reused,
        reused=reused,
        seconds=12.3,
        tracking={"uri": "sqlite:///x.db", "run_id": run_id},
    )

"""Metrics of a stream that never ends, as Prometheus reads them (text format 0.0.4): what waits, what was decided, what
is left of the budget.

`everlearn watch --metrics` answers with them over HTTP, `everlearn step --metrics-file` writes them for the textfile
collector of node_exporter. What is not known is left out, instead of being 0.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import StorageError
from orchestrator.updates.small_http_server import SmallHttpServer

if TYPE_CHECKING:
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.updates.run_step import StepResult
    from pipelines.config.schema import Pipeline

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "everlearn_stream_"
METRICS = {
    "last_step_seconds": ("gauge", "When the last step ended, in seconds since 1970"),
    "last_training_seconds": ("gauge", "When the newest model was made, in seconds since 1970"),
    "waiting_experiences": ("gauge", "Experiences that were admitted and are not trained"),
    "waiting_files": ("gauge", "Files that were admitted and are in no experience yet"),
    "unlabelled_rows": ("gauge", "Rows of waiting files that have no label yet"),
    "experiences": ("gauge", "Experiences that were ever admitted"),
    "quarantined_files": ("gauge", "Files in quarantine that are still there"),
    "drift_effect": (
        "gauge",
        "The largest effect of what last waited to be trained, by `what`: inputs or labels; "
        "unlabelled: of the inputs of files that wait for labels",
    ),
    "error_share": ("gauge", "Share of wrong answers on what was not learned yet, by `when`: before or now"),
    "gate_verdicts": ("gauge", "Verdicts so far in which a model was compared with a champion, by `refused`"),
    "last_verdict": ("gauge", "1 for the outcome of the newest verdict"),
    "champion_since_seconds": ("gauge", "When the newest promotion or rollback was made, in seconds since 1970"),
    "budget_spent_seconds": ("gauge", "Work of trainings and searches within the time of the budget"),
    "budget_seconds": ("gauge", "Work that the budget allows in that time"),
    "steps_total": ("counter", "Steps of this process by outcome"),
    "failures_total": ("counter", "Steps of this process that failed"),
}
"""Type and meaning of each metric, by its name without the prefix."""
Samples = dict[str, list[tuple[dict[str, str], float]]]


def stream_samples(pipeline: Pipeline, lineage: Lineage, result: StepResult, now: float) -> Samples:
    """The values after a step, by the name of the metric: labels and numbers.

    Args:
        now: in seconds since 1970.

    Raises:
        StorageError: the store cannot be read.
    """
    found: Samples = {"last_step_seconds": [({}, now)]}
    if result.outcome != "busy":
        found["waiting_experiences"] = [({}, _untrained(lineage, result))]
        found["waiting_files"] = [({}, result.waiting)]
        if pipeline.stream.source is not None and pipeline.stream.source.mature is not None:
            found["unlabelled_rows"] = [({}, result.unlabelled)]
        found["experiences"] = [({}, result.experiences)]
        found["quarantined_files"] = [({}, len(result.quarantined))]
    decided = _decided(pipeline, lineage, now)
    if "unlabelled_rows" in found:
        effects = [file.drift.effect for file in result.drift if file.drift is not None]
        own = [({"what": "unlabelled"}, max(effects))] if effects else []
        # Empty, it replaces the earlier values: those files do not wait any more.
        decided["drift_effect"] = [*decided.get("drift_effect", ()), *own]
    elif pipeline.stream.source is not None and pipeline.stream.source.mature is not None:
        decided.pop("drift_effect", None)  # busy: the earlier values are kept
    return found | decided


def _untrained(lineage: Lineage, result: StepResult) -> int:
    from orchestrator.lineage.decisions import decision_state
    from orchestrator.updates.admission_log import read_admissions
    from orchestrator.updates.run_step import latest_commit, trained_experiences

    state = read_admissions(lineage)
    if state is None:
        return 0
    trained = trained_experiences(lineage, state, latest_commit(lineage), decision_state(lineage).bad)
    return len(state.experiences) - trained


def _decided(pipeline: Pipeline, lineage: Lineage, now: float) -> Samples:
    from orchestrator.lineage.decisions import decision_state, last_of
    from orchestrator.updates.run_step import latest_commit
    from orchestrator.updates.update_log import seconds_since_1970, spent
    from pipelines.config.sections.source_section import seconds_of

    found: Samples = {}
    latest = latest_commit(lineage)
    if latest is not None:
        found["last_training_seconds"] = [({}, seconds_since_1970(latest.created))]
    update = last_of(lineage, "update")
    measures: Any = {} if update is None else update.evidence.get("measures", {})
    effects = [({"what": what}, max(one["effect"] for one in measures[what])) for what in ("inputs", "labels")
               if measures.get(what)]  # fmt: skip
    errors = measures.get("errors", {})
    if effects:
        found["drift_effect"] = effects
    if "now" in errors:
        found["error_share"] = [({"when": when}, errors[when]) for when in ("before", "now")]
    state, verdict = decision_state(lineage), last_of(lineage, "verdict")
    refused = len(state.refused)
    found["gate_verdicts"] = [({"refused": "yes"}, refused), ({"refused": "no"}, state.tests - refused)]
    if verdict is not None:
        found["last_verdict"] = [
            ({"outcome": outcome}, float(outcome == verdict.outcome)) for outcome in ("passed", "refused", "undecided")
        ]
    moves = [one for kind in ("promotion", "rollback") if (one := last_of(lineage, kind)) is not None]
    if moves:
        found["champion_since_seconds"] = [({}, max(seconds_since_1970(one.at) for one in moves))]
    budget = None if pipeline.update is None else pipeline.update.budget
    if budget is not None:
        found["budget_seconds"] = [({}, budget.worker_hours * 3600)]
        work = sum(seconds for _, seconds in spent(lineage, now - seconds_of(budget.per)))
        found["budget_spent_seconds"] = [({}, round(work, 3))]
    return found


def metrics_text(samples: Samples, labels: Mapping[str, str]) -> str:
    """The samples with HELP and TYPE.

    Args:
        labels: of every sample, such as the pipeline.
    """
    return "".join(f"{line}\n" for line in _lines(samples, labels))


def _lines(samples: Samples, labels: Mapping[str, str]) -> Iterator[str]:
    for name, (kind, meaning) in METRICS.items():
        for place, (own, value) in enumerate(samples.get(name, ())):
            if not place:
                yield f"# HELP {PREFIX}{name} {meaning}"
                yield f"# TYPE {PREFIX}{name} {kind}"
            marked = ",".join(f'{key}="{_escaped(text)}"' for key, text in {**labels, **own}.items())
            yield f"{PREFIX}{name}{{{marked}}} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def write_metrics(path: Path, text: str) -> None:
    """Write a textfile, whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(0o644)  # the collector is another user
        Path(name).replace(path)
    except OSError as error:
        raise StorageError(f"{path}: cannot write the metrics: {error.strerror or error}") from None


class MetricsServer(SmallHttpServer):
    """Answers GET /metrics with what was last set, in a thread of its own."""

    def __init__(self, host: str, port: int, labels: Mapping[str, str]) -> None:
        """
        Args:
            port: 0: any that is free.

        Raises:
            OSError: the address cannot be used.
        """
        self._labels, self._samples, self._steps, self._failures = dict(labels), Samples(), Counter[str](), 0
        super().__init__(host, port, _handler(self), "metrics")

    def stepped(self, outcome: str, samples: Samples) -> None:
        """A step ended so; values that are not among the samples stay as they were."""
        self._steps[outcome] += 1
        self._samples = self._samples | samples

    def failed(self) -> None:
        """A step failed."""
        self._failures += 1

    def text(self) -> str:
        """What a scrape gets."""
        steps: list[tuple[dict[str, str], float]] = [({"outcome": o}, n) for o, n in sorted(self._steps.items())]
        counted: Samples = {"failures_total": [({}, self._failures)], "steps_total": steps}
        return metrics_text(self._samples | counted, self._labels)


def _handler(server: MetricsServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(404)
                return
            body = server.text().encode()
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            """Scrapes are not logged."""

    return Handler

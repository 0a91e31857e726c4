"""Where and when a pipeline runs: command line, driver, Ray workers, storage, tracking.

    from orchestrator import run, load_pipeline

    result = run(load_pipeline("pipelines/examples/split-digits.yaml"))
    print(result.metrics["average_accuracy"])

Names are imported on first use: `import orchestrator` alone loads neither Ray nor MLflow nor PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.checkpointing.load_model import load_model
    from orchestrator.result import RunResult
    from orchestrator.training.driver import run
    from orchestrator.tuning.comparison import compare
    from orchestrator.tuning.search import tune
    from pipelines.config.load import load_pipeline

__all__ = ["RunResult", "compare", "load_model", "load_pipeline", "run", "tune"]

_HOMES = {
    "RunResult": "orchestrator.result",
    "compare": "orchestrator.tuning.comparison",
    "load_model": "orchestrator.checkpointing.load_model",
    "load_pipeline": "pipelines.config.load",
    "run": "orchestrator.training.driver",
    "tune": "orchestrator.tuning.search",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Where and when a pipeline runs: command line, driver, Ray workers, storage, lineage, tracking.

    from orchestrator import run, load_pipeline

    result = run(load_pipeline("pipelines/examples/split-digits.yaml"))
    print(result.metrics["average_accuracy"])

This room alone knows Ray, MLflow and boto3, and imports `pipelines` and `strategies`. Names are imported on first use:
`import orchestrator` alone loads neither Ray nor MLflow nor PyTorch. Other programs import the names of `__all__`;
within the package, folders import one another's modules.
"""

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# Everlearn's package beside this one, even where the folder of the script has one of the same name.
_HOME = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(_HOME))
try:
    _beside = importlib.import_module("pipelines")
finally:
    sys.path.remove(str(_HOME))
if Path(str(_beside.__file__)).resolve().parents[1] != _HOME:
    raise ImportError(
        f"the package 'pipelines' in {_beside.__file__} hides Everlearn's in {_HOME / 'pipelines'}.\n"
        "Import Everlearn's `orchestrator` before yours, or rename yours"
    )

from orchestrator.checkpointing.commit_weights import commit_weights  # noqa: E402
from pipelines.models.trained_weights import read_commits_by  # noqa: E402
from strategies.api.lazy_names import lazy_names  # noqa: E402

if TYPE_CHECKING:
    from orchestrator.checkpointing.load_model import load_model
    from orchestrator.errors import OrchestratorError
    from orchestrator.result import RunResult
    from orchestrator.storage.open_by_uri import open_store
    from orchestrator.storage.store import Store
    from orchestrator.training.callback import Callback
    from orchestrator.training.driver import run
    from orchestrator.tuning.comparison import compare
    from orchestrator.tuning.search import tune
    from pipelines.config.load import load_pipeline

_HOMES = {
    "Callback": "orchestrator.training.callback",
    "OrchestratorError": "orchestrator.errors",
    "RunResult": "orchestrator.result",
    "Store": "orchestrator.storage.store",
    "compare": "orchestrator.tuning.comparison",
    "load_model": "orchestrator.checkpointing.load_model",
    "load_pipeline": "pipelines.config.load",
    "open_store": "orchestrator.storage.open_by_uri",
    "run": "orchestrator.training.driver",
    "tune": "orchestrator.tuning.search",
}

__all__ = [
    "Callback",
    "OrchestratorError",
    "RunResult",
    "Store",
    "compare",
    "load_model",
    "load_pipeline",
    "open_store",
    "run",
    "tune",
]

read_commits_by(commit_weights)

__getattr__, __dir__ = lazy_names(__name__, _HOMES)

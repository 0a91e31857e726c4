"""What is learned, from what, and in which order: pipeline files, data, streams and models.

    from pipelines import build_stream, load_pipeline

Plain Python and PyTorch: nothing here knows of Ray or MLflow. `config` reads pipeline files, `data` makes streams,
`models` has the built-in networks, `examples` the files that `everlearn example` writes, `build` makes the objects that
learn. This room uses the public names of `strategies`. Names are imported on first use.
"""

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# Import Everlearn's own package, even where the script's folder has a package of the same name.
_HOME = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(_HOME))
try:
    _beside = importlib.import_module("strategies")
finally:
    sys.path.remove(str(_HOME))
if Path(str(_beside.__file__)).resolve().parents[1] != _HOME:
    raise ImportError(
        f"the package 'strategies' in {_beside.__file__} hides Everlearn's in {_HOME / 'strategies'}.\n"
        "Import Everlearn's `pipelines` before yours, or rename yours"
    )

from strategies.api.lazy_names import lazy_names  # noqa: E402

if TYPE_CHECKING:
    from pipelines.build import make_learner, make_model, make_strategies
    from pipelines.config.component_marks import dataset, model
    from pipelines.config.load import load_pipeline, load_text, with_settings
    from pipelines.config.pipeline_errors import DataError, PipelineError
    from pipelines.config.schema import Pipeline
    from pipelines.data.datasets.dataset import Dataset, ExperienceDataset
    from pipelines.data.streams import Stream, build_stream
    from pipelines.recommendation import recommend

_HOMES = {
    "DataError": "pipelines.config.pipeline_errors",
    "Dataset": "pipelines.data.datasets.dataset",
    "ExperienceDataset": "pipelines.data.datasets.dataset",
    "Pipeline": "pipelines.config.schema",
    "PipelineError": "pipelines.config.pipeline_errors",
    "Stream": "pipelines.data.streams",
    "build_stream": "pipelines.data.streams",
    "dataset": "pipelines.config.component_marks",
    "load_pipeline": "pipelines.config.load",
    "load_text": "pipelines.config.load",
    "make_learner": "pipelines.build",
    "make_model": "pipelines.build",
    "make_strategies": "pipelines.build",
    "model": "pipelines.config.component_marks",
    "recommend": "pipelines.recommendation",
    "with_settings": "pipelines.config.load",
}

__all__ = [
    "DataError",
    "Dataset",
    "ExperienceDataset",
    "Pipeline",
    "PipelineError",
    "Stream",
    "build_stream",
    "dataset",
    "load_pipeline",
    "load_text",
    "make_learner",
    "make_model",
    "make_strategies",
    "model",
    "recommend",
    "with_settings",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)

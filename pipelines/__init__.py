"""What is learned, from what, and in which order: pipeline files, data, streams and models.

    from pipelines import build_stream, load_pipeline

Plain Python and PyTorch: nothing here knows of Ray or MLflow. `config` reads pipeline files, `data` makes streams,
`models` has the built-in networks, `examples` the files that `everlearn example` writes, `build` makes the objects that
learn. This room uses the public names of `strategies`. Names are imported on first use.
"""

from typing import TYPE_CHECKING

from strategies.api.lazy_names import lazy_names

if TYPE_CHECKING:
    from pipelines.build import make_learner, make_model, make_strategies
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
    "load_pipeline": "pipelines.config.load",
    "load_text": "pipelines.config.load",
    "make_learner": "pipelines.build",
    "make_model": "pipelines.build",
    "make_strategies": "pipelines.build",
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
    "load_pipeline",
    "load_text",
    "make_learner",
    "make_model",
    "make_strategies",
    "recommend",
    "with_settings",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)

"""Predictions for a file by copies of a model on a Ray cluster: one process reads and writes, many predict."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orchestrator.prediction.predict_file import Answered, Piece, answer
from pipelines.config.pipeline_errors import PipelineError

if TYPE_CHECKING:
    from pipelines.config.schema import Pipeline

_WAITING = 2
"""Pieces for each worker that are read ahead; memory holds no more of a file."""
_RETRIES = 3


class Predictor:
    """A Ray actor that holds the model of a commit."""

    def __init__(self, document: str, name: str, commit: str, search_path: list[str], threads: int) -> None:
        """
        Args:
            document: the pipeline as YAML, with its storage as an address that holds everywhere.
            name: of the pipeline, for messages.
            commit: its id.
            search_path: where user modules are found.
            threads: of PyTorch.
        """
        import torch

        from orchestrator.checkpointing.load_model import load_model
        from pipelines.config.components import without_own_code
        from pipelines.config.load import load_text

        sys.path.extend(path for path in search_path if path not in sys.path)
        torch.set_num_threads(threads)
        with without_own_code():
            pipeline = load_text(document, name)
        self._model = load_model(pipeline, commit)

    def answer(self, piece: Piece) -> Answered | list[str]:
        """The answers for some rows, or what is wrong with them, line by line."""
        try:
            return answer(self._model, piece)
        except PipelineError as error:
            return error.problems


@contextmanager
def predictors(
    pipeline: Pipeline, commit: str, workers: int, address: str | None
) -> Iterator[Callable[[Iterable[Piece]], Iterator[Answered]]]:
    """What answers the pieces of a file on a Ray cluster, in their order, for the time of the block.

    A worker that fails is replaced, and its pieces are answered again. The answers are those of one process: pieces are
    the same, whatever the number of workers.

    Args:
        commit: whose model it is; its store must be reachable from the workers.
        address: of the cluster; None: as for a run.

    Raises:
        ClusterError: it cannot be reached, or lacks the resources.
    """
    import ray
    import yaml

    from orchestrator.cluster.connect import cluster, worker_resources
    from orchestrator.errors import ClusterError
    from orchestrator.storage.open_by_uri import open_store

    scaling = pipeline.scaling.model_copy(update={"workers": workers, "gpu": False})
    placed = pipeline.model_copy(update={"storage": open_store(pipeline.storage).uri})
    resources = dict(worker_resources(scaling))
    cpus = resources.pop("CPU", 1)
    with cluster(address, scaling):
        actor: Any = ray.remote(Predictor).options(
            num_cpus=cpus, resources=resources, max_restarts=_RETRIES, max_task_retries=_RETRIES
        )
        search_path = [path for path in sys.path if path]
        document = yaml.safe_dump(placed.to_document(), sort_keys=False)
        actors = [actor.remote(document, pipeline.name, commit, search_path, max(1, int(cpus))) for _ in range(workers)]

        def answered(reference: Any) -> Answered:
            try:
                found: Answered | list[str] = ray.get(reference)
            except ray.exceptions.RayError as error:
                reason = str(getattr(error, "cause", None) or error).strip().partition("\n")[0][:300]
                raise ClusterError(f"a worker that predicts failed: {reason}") from error
            if isinstance(found, list):
                raise PipelineError(found)
            return found

        def through(pieces: Iterable[Piece]) -> Iterator[Answered]:
            waiting: deque[Any] = deque()
            for number, piece in enumerate(pieces):
                if len(waiting) == _WAITING * workers:
                    yield answered(waiting.popleft())
                waiting.append(actors[number % workers].answer.remote(piece))
            while waiting:
                yield answered(waiting.popleft())

        yield through

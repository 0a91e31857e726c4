"""The model that answers. Another model is loaded beside it, and replaces it after a warm-up call."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from orchestrator.prediction.predicting import is_language_model, manner, predictions
from pipelines.config.pipeline_errors import PipelineError

if TYPE_CHECKING:
    from orchestrator.prediction.predicting import Predicting


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A model that was tried out.

    Attributes:
        commit: its id.
        model: in evaluation mode.
        dtype: of inputs whose request does not say of which they are: float32, or int64 for a model of whole numbers.
    """

    commit: str
    model: Predicting
    dtype: torch.dtype


class NotServable(PipelineError):
    """A model was loaded, but does not answer as it should."""


class ModelSwap:
    """Holds the model that answers.

    Whoever answers a request, or a batch of them, takes `current` once and uses nothing else: the answer is then that
    of one commit, whatever happens meanwhile. A model that was replaced is freed after its last answer.
    """

    def __init__(self, load: Callable[[str], Predicting]) -> None:
        """
        Args:
            load: the model of a commit, by the commit's id.
        """
        self._load = load
        self._current: ServedModel | None = None
        self._moving = threading.Lock()

    @property
    def current(self) -> ServedModel | None:
        """The model that answers; None: none was loaded yet."""
        return self._current

    def move_to(self, commit: str) -> ServedModel:
        """Load a commit's model, call it once, and let it answer from now on. The previous model answers until then.

        Raises:
            Exception: it cannot be loaded or fails when it is called; the previous model keeps answering.
        """
        with self._moving:
            current = self._current
            if current is not None and current.commit == commit:
                return current
            self._current = warmed_up(commit, self._load(commit))
            return self._current


def warmed_up(commit: str, model: Predicting) -> ServedModel:
    """A model after its first call, which is slower than others, and shows whether it answers at all.

    Raises:
        NotServable: its answers are no finite numbers.
        Exception: the call failed.
    """
    shape = manner(model).inputs.shape
    if is_language_model(model):
        return _warmed_up_text(commit, model)
    dtype = torch.float32
    try:
        found = predictions(model, torch.zeros(1, *shape))
    except (RuntimeError, TypeError, IndexError):
        # Models of tokens look them up, and refuse other numbers than whole ones.
        dtype = torch.int64
        found = predictions(model, torch.zeros(1, *shape, dtype=dtype))
    _check_parameters(commit, model)
    if len(found) != 1:
        raise NotServable(f"commit {commit[:12]}: gives {len(found)} answers for one input")
    return ServedModel(commit, model, dtype)


def _warmed_up_text(commit: str, model: Predicting) -> ServedModel:
    from orchestrator.prediction.document_scores import score_documents

    use = manner(model)
    if use.refused is not None or use.documents is None:
        why = use.refused or "the pipeline's dataset names no tokenizer: use the dataset `documents`"
        raise NotServable(f"commit {commit[:12]}: {why}")
    first = [0] * use.inputs.shape[0]
    # A missing tokenizer is said here, not to each client.
    score_documents(model, use.documents, [([], first)])
    _check_parameters(commit, model)
    return ServedModel(commit, model, torch.int64)


def _check_parameters(commit: str, model: Predicting) -> None:
    if not all(torch.isfinite(p).all() for p in model.parameters()):
        raise NotServable(f"commit {commit[:12]}: its parameters are no finite numbers")

"""Changing the model that answers, without a server."""

from __future__ import annotations

import threading
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from orchestrator.checkpointing.load_model import load_model
from orchestrator.prediction.predicting import Manner, Predicting, with_predict
from orchestrator.prediction.predictions import classes
from orchestrator.serving.model_swap import ModelSwap, NotServable, warmed_up
from pipelines.config.pipeline_errors import PipelineError
from pipelines.data.model_inputs import ModelInputs
from tests.orchestrator.serving.conftest import Chain


def usable(model: nn.Module, refused: str | None = None) -> Predicting:
    return with_predict(model, Manner(ModelInputs((2,)), ("a", "b"), classes, refused))


class Tokens(nn.Module):
    """Takes whole numbers only."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        return cast(Tensor, self.table(tokens).sum(1))


def test_the_one_before_answers_until_the_next_was_tried_out(chain: Chain) -> None:
    first, second = chain.commits[:2]
    loading, go_on = threading.Event(), threading.Event()

    def load(commit: str) -> Predicting:
        if commit == second:
            loading.set()
            assert go_on.wait(30)
        return load_model(chain.pipeline, commit)

    swap = ModelSwap(load)
    assert swap.current is None
    before = swap.move_to(first)
    assert swap.current is before and before.commit == first and swap.move_to(first) is before
    moving = threading.Thread(target=swap.move_to, args=(second,))
    moving.start()
    assert loading.wait(30) and swap.current is before
    go_on.set()
    moving.join()
    assert swap.current is not None and swap.current.commit == second


def test_a_model_that_fails_leaves_the_one_before(chain: Chain) -> None:
    broken = usable(nn.Linear(3, 2))
    swap = ModelSwap(lambda commit: broken if commit == "broken" else load_model(chain.pipeline, commit))
    before = swap.move_to(chain.commits[0])
    with pytest.raises(RuntimeError):
        swap.move_to("broken")
    assert swap.current is before


def test_models_are_tried_out() -> None:
    assert warmed_up("c", usable(nn.Linear(2, 2))).dtype == torch.float32
    assert warmed_up("c", usable(Tokens())).dtype == torch.int64
    endless = nn.Linear(2, 2)
    nn.init.constant_(endless.bias, float("nan"))
    with pytest.raises(NotServable, match="its parameters are no finite numbers"):
        warmed_up("c", usable(endless))
    with pytest.raises(PipelineError, match="answers by its memory"):
        warmed_up("c", usable(nn.Linear(2, 2), "answers by its memory"))

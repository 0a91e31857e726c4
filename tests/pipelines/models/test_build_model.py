"""Models by name, seeded."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import nn

from pipelines.config.pipeline_errors import PipelineError
from pipelines.models.build_model import build_model

HERE = "tests.pipelines.models.test_build_model:"


def own(input_shape: tuple[int, ...], outputs: int, *, width: int = 3, **more: Any) -> nn.Module:
    """A model of a user's own."""
    return nn.Sequential(nn.Flatten(), nn.Linear(input_shape[0], width), nn.Linear(width, outputs))


def no_model(input_shape: tuple[int, ...], outputs: int) -> Any:
    """Not a model."""
    return outputs


def lazy(input_shape: tuple[int, ...], outputs: int, *, called: bool) -> nn.Module:
    """A model whose shapes follow from its first input."""
    model = nn.Sequential(nn.Flatten(), nn.LazyLinear(outputs))
    if called:
        model(torch.zeros(2, *input_shape))
    return model


STARTED, GO = [threading.Event(), threading.Event()], [threading.Event(), threading.Event()]


def slow(input_shape: tuple[int, ...], outputs: int, *, thread: int) -> nn.Module:
    """A model that another thread is about to disturb."""
    STARTED[thread].set()
    GO[thread].wait()
    return nn.Linear(input_shape[0], outputs)


def test_two_threads_that_make_models_do_not_draw_each_others_random_numbers() -> None:
    def build(thread: int) -> nn.Module:
        return build_model(f"{HERE}slow", {"thread": thread}, (5,), 2, seed=thread)

    for event in GO:
        event.set()
    expected = [build(0), build(1)]
    for event in (*GO, *STARTED):
        event.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(build, 0)
        STARTED[0].wait()
        second = pool.submit(build, 1)
        STARTED[1].wait(timeout=0.5)  # it would have begun by then, if it were not to wait
        GO[0].set()
        made = [first.result()]
        GO[1].set()
        made.append(second.result())
    for one, other in zip(made, expected, strict=True):
        assert all(map(torch.equal, one.parameters(), other.parameters()))


def test_layers_that_wait_for_their_first_input_are_refused_with_the_remedy() -> None:
    with pytest.raises(PipelineError, match=r"'1.weight' \(LazyLinear\) has no weights .* model\(torch.zeros\(2, "):
        build_model(f"{HERE}lazy", {"called": False}, (5,), 2, seed=0)
    assert build_model(f"{HERE}lazy", {"called": True}, (5,), 2, seed=0)(torch.zeros(3, 5)).shape == (3, 2)


@pytest.mark.parametrize("name", ["mlp", "cnn", "resnet18-slim", f"{HERE}own"])
def test_the_seed_alone_decides_the_weights(name: str) -> None:
    torch.manual_seed(123)
    state = torch.random.get_rng_state()
    first = build_model(name, {}, (1, 8, 8), 4, seed=0)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(5)
    again, other = build_model(name, {}, (1, 8, 8), 4, seed=0), build_model(name, {}, (1, 8, 8), 4, seed=1)
    pairs = list(zip(first.parameters(), again.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert not all(torch.equal(a, c) for a, _, c in pairs)


def test_a_model_of_ones_own_gets_its_options() -> None:
    model = build_model(f"{HERE}own", {"width": 7, "anything": 1}, (5,), 2, seed=0)
    assert model(torch.zeros(3, 5)).shape == (3, 2)
    assert next(model.parameters()).shape == (7, 5)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mlp", {"hiden": [3]}, r"model.hiden: unknown key, did you mean 'hidden'\?"),
        ("mlp", {"input_shape": [3]}, "model.input_shape: unknown key"),
        ("mlp", {"hidden": [0]}, "model.hidden.0: must be at least 1, got 0"),
        ("mlp", {"activation": "soft"}, "model.activation: must be one of relu, "),
        ("mlp", {"dropout": 1.5}, "model.dropout: must be below 1, got 1.5"),
        ("cnn", {"channels": []}, "model.channels: must "),
        (f"{HERE}no_model", {}, "must return a torch.nn.Module, not int"),
        ("mpl", {}, "unknown model 'mpl'"),
    ],
)
def test_impossible_models_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        build_model(name, options, (1, 8, 8), 4, seed=0)


@pytest.mark.parametrize("name", ["cnn", "resnet18-slim"])
def test_image_models_want_images(name: str) -> None:
    with pytest.raises(PipelineError, match=r"takes images .* has shape \(64,\); use mlp"):
        build_model(name, {}, (64,), 4, seed=0)

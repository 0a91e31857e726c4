"""What is learned on a GPU: the same as on the CPU within rounding, with every strategy, and exactly after a resume."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from strategies.api.strategy_errors import StrategyError
from strategies.loop.learner import Learner
from strategies.loop.train_settings import OPTIMIZERS, TrainSettings, make_optimizer
from tests.strategies.cases import REGISTERED, TRAIN, Case, flat_state, make_strategy
from tests.strategies.models import build
from tests.strategies.streams import stream

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here"),
]

State = dict[str, Tensor]


def new_learner(case: Case, outputs: int, device: str) -> Learner:
    strategies = [make_strategy(name, options) for name, options in case.strategies]
    return Learner(build(case.model, outputs), strategies, outputs=outputs, seed=3, device=device)


def learned(case: Case, device: str) -> tuple[list[list[int]], State]:
    """Correct answers after each experience and the state at the end, or a refusal."""
    experiences, outputs = case.stream()
    learner = new_learner(case, outputs, device)
    # Adam divides a gradient by its size, also where that is nothing but the rounding of the loss.
    settings = replace(case.settings, optimizer="sgd", optimizer_options={"lr": 0.1, "momentum": 0.9})
    counts = []
    for experience in experiences:
        learner.learn(experience, settings, past=experiences[: experience.index])
        counts.append([count.correct for count in learner.evaluate(experiences)])
    return counts, {name: tensor.cpu() for name, tensor in flat_state(learner).items()}


@pytest.mark.parametrize("case", REGISTERED, ids=str)
def test_a_gpu_learns_what_a_cpu_learns(case: Case) -> None:
    try:
        counts, state = learned(case, "cpu")
    except StrategyError as refusal:
        with pytest.raises(StrategyError) as refused:
            learned(case, "cuda")
        assert str(refused.value) == str(refusal)
        return
    on_gpu, found = learned(case, "cuda")
    assert found.keys() == state.keys()
    for name, expected in state.items():
        # The loss is computed in single precision.
        torch.testing.assert_close(found[name], expected, rtol=1e-3, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}")
    assert on_gpu == counts


@pytest.mark.parametrize("name", ["naive", "ewc", "si", "mas", "lwf"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_resumed_experience_learns_the_same_bits(name: str, precision: str) -> None:
    experiences, outputs = stream("class-incremental")
    settings = TrainSettings(**TRAIN, precision=precision)
    case = Case(name, [(name, {})], model="mlp-float32")
    whole, broken = new_learner(case, outputs, "cuda"), new_learner(case, outputs, "cuda")
    for learner in (whole, broken):
        learner.learn(experiences[0], settings)
    steps = broken.steps(experiences[1], settings, past=experiences[:1])
    next(steps)
    kept = {part: {n: t.cpu().clone() for n, t in state.items()} for part, state in broken.state_dict().items()}
    resumed = new_learner(case, outputs, "cuda")
    resumed.load_state_dict(kept, optimizer=settings.optimizer)
    for _ in resumed.steps(experiences[1], settings, past=experiences[:1], start=1):
        pass
    resumed.consolidate()
    whole.learn(experiences[1], settings, past=experiences[:1])
    expected, found = flat_state(whole), flat_state(resumed)
    assert found.keys() == expected.keys()
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []


@pytest.mark.parametrize("options", [{}, {"foreach": True}, {"fused": True}, {"foreach": False}], ids=str)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_implementation_of_an_optimizer_steps_alike(name: str, options: dict[str, Any]) -> None:
    if options.get("fused") and name == "rmsprop":
        pytest.skip("torch has no fused RMSprop")
    if options.get("fused") and name == "adagrad":
        settings = TrainSettings(optimizer=name, optimizer_options={"lr": 0.05, **options})
        with pytest.raises(StrategyError, match="fused Adagrad works on the CPU only"):
            make_optimizer(settings, [torch.nn.Parameter(torch.zeros(2, device="cuda"))])
        return
    more = {"lr": 0.05, **({"momentum": 0.9} if name == "sgd" else {})}
    experiences, outputs = stream("class-incremental")
    found = []
    for device, chosen in (("cpu", {"foreach": False}), ("cuda", options)):
        learner = Learner(build("mlp", outputs), [make_strategy("ewc")], outputs=outputs, seed=3, device=device)
        settings = TrainSettings(batch_size=12, optimizer=name, optimizer_options={**more, **chosen})
        for experience in experiences[:2]:
            learner.learn(experience, settings, past=experiences[: experience.index])
        found.append({n: p.detach().cpu() for n, p in learner.model.named_parameters()})
    torch.testing.assert_close(found[1], found[0], rtol=1e-3, atol=1e-4)


def test_samples_that_lie_on_the_gpu_are_learned_as_others() -> None:
    from tests.benchmarks.bare import model
    from tests.benchmarks.steps import Step

    found = []
    for device in ("cpu", "cuda"):
        learner = Learner(model(), [make_strategy("ewc", {"samples": 20})], outputs=10, seed=3, device="cuda")
        learner.learn(Step(0, 200, device), TrainSettings(batch_size=50))
        found.append(flat_state(learner))
    assert [name for name in found[0] if not torch.equal(found[0][name], found[1][name])] == []

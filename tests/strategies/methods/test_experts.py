"""Experts behind a router: the mixture against its definition, and what never changes.

Covers: `strategies/adapters/experts_network.py`, `strategies/networks/feature_sums.py`.
"""

from __future__ import annotations

from typing import Any

import torch

from strategies.adapters.experts_network import ExpertsNetwork
from strategies.adapters.router import Router
from strategies.adapters.router_part import upper_triangle
from strategies.loop.learner import Learner
from strategies.methods.experts import routing_accuracy
from tests.strategies.cases import Case
from tests.strategies.streams import Step, stream

SETTING = "class-incremental"


def learned(experiences: int, **options: Any) -> tuple[Learner, list[Step]]:
    case = Case("experts", [("experts", {"rank": 2, **options})], SETTING)
    steps, outputs = stream(SETTING)
    learner = case.learner(outputs)
    for step in steps[:experiences]:
        learner.learn(step, case.settings)
    return learner, steps


def test_scores_are_the_mixture_of_the_experts_that_the_router_chooses() -> None:
    for top_k in (1, 2, 3):
        learner, steps = learned(3, top_k=top_k)
        network = learner.model
        assert isinstance(network, ExpertsNetwork)
        inputs = learner.prepare(steps[0].test.inputs[:6])
        with learner.evaluating(), torch.no_grad():
            found = network(inputs).double()
            router = network.router(network.features(inputs)).exp()
            for row, scores in enumerate(found):
                best = router[row].argsort(descending=True)[:top_k].tolist()
                for expert in range(3):
                    units = network.head(expert).units
                    own = torch.full((len(units),), 1 / len(units), dtype=torch.float64)
                    if expert in best:
                        own = network.answers(inputs[row : row + 1], [expert])[0][0].double().softmax(0)
                    torch.testing.assert_close(scores[units].exp(), router[row, expert] * own, rtol=1e-5, atol=1e-6)
            if top_k == 2:  # as MLflow gets it: a graph, for batches of any size
                export = torch.export.export(network, (inputs[:3],), dynamic_shapes=({0: torch.export.Dim.AUTO},))
                torch.testing.assert_close(export.module()(inputs).double(), found, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(found.exp().sum(1), torch.ones(6, dtype=torch.float64), rtol=1e-5, atol=1e-5)


def test_an_expert_and_the_frozen_model_never_change_again() -> None:
    before, after = (learned(n)[0].state_dict() for n in (1, 3))
    for part in ("model.base", "model.adapter.0"):
        torch.testing.assert_close(after[part], before[part], rtol=0, atol=0)


def test_the_router_is_that_of_all_data_at_once_and_its_accuracy_is_counted() -> None:
    learner, steps = learned(3)
    network = learner.model
    assert isinstance(network, ExpertsNetwork)
    with learner.evaluating(), torch.no_grad():
        z = [network.features(learner.prepare(step.train.inputs)).double() for step in steps]
        whole, targets = torch.cat(z), torch.cat([step.train.targets for step in steps])
        sums, counts = network.router.sums, network.router.counts
        products = network.router.scatter + sums.T @ (sums / counts[:, None])
        torch.testing.assert_close(products, whole.T @ whole)
        for group, target in enumerate(targets.unique()):
            torch.testing.assert_close(network.router.sums[group], whole[targets == target].sum(0))
        right = total = 0
        for index, step in enumerate(steps):
            chosen = network.router(network.features(learner.prepare(step.test.inputs))).argmax(1)
            right, total = right + int((chosen == index).sum()), total + len(step.test)
    found = routing_accuracy(learner, steps)
    assert found == right / total
    assert found > 1 / 3


def test_a_commit_of_a_router_with_sums_over_all_experiences_is_read_and_continues() -> None:
    learner, steps = learned(2)
    state = learner.state_dict()
    router = learner.model.router
    assert isinstance(router, Router)
    means = router.sums / router.counts[:, None]
    packed = upper_triangle(router.scatter + router.sums.T @ means)
    for part in list(state):
        state[part] = {name: tensor for name, tensor in state[part].items() if not name.startswith("router.")}
    before = {"sums": router.sums, "counts": router.counts, "owners": router.owners, "packed": packed}
    state["model"] |= {f"router.{name}": tensor for name, tensor in before.items()}
    case = Case("experts", [("experts", {"rank": 2})], SETTING)
    again = case.learner(stream(SETTING)[1])
    again.load_state_dict(state)
    inputs = learner.prepare(steps[0].test.inputs)
    for one in (learner, again):
        one.learn(steps[2], case.settings)
    with learner.evaluating(), again.evaluating(), torch.no_grad():
        torch.testing.assert_close(again.model(inputs), learner.model(inputs))

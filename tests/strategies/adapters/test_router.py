"""The router, and routers of stored states.

Covers: `strategies/adapters/router_part.py`
"""

from __future__ import annotations

import pytest
import torch

from strategies.adapters.experts_network import ExpertsNetwork
from strategies.adapters.router import Router, stored_router
from strategies.adapters.router_part import MOST_BYTES, RouterPart, is_exact, ranks, upper_triangle


def routed() -> tuple[Router, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    router = Router(3)
    z = torch.randn(60, 3).double() + torch.tensor([0.0, 4.0, 8.0]).repeat_interleave(20)[:, None]
    group = torch.arange(3).repeat_interleave(20)
    for groups in ((0, 2), (1,)):
        rows = torch.isin(group, torch.tensor(groups))
        sums = torch.zeros(3, 3).double().index_add_(0, group[rows], z[rows])
        router.add(sums, group[rows].bincount(minlength=3).double(), z[rows].T @ z[rows])
    return router, z, group


def test_it_finds_the_experience_of_each_group_as_scikit_learn_does() -> None:
    discriminant = pytest.importorskip("sklearn.discriminant_analysis").LinearDiscriminantAnalysis
    router, z, group = routed()
    router.shrinkage = 0.0
    found = router(z.float()).exp()
    assert router.owners.tolist() == [0, 0, 1]
    torch.testing.assert_close(router.scatter + router.sums.T @ (router.sums / router.counts[:, None]), z.T @ z)
    expected = discriminant(solver="lsqr").fit(z.numpy(), group.numpy()).predict_proba(z.numpy())
    torch.testing.assert_close(found[:, 1], torch.from_numpy(expected[:, 1]), rtol=1e-3, atol=1e-4)


def test_a_stored_router_is_restored_and_one_that_does_not_fit_is_refused() -> None:
    router, z, _ = routed()
    state = router.state_dict()
    again = stored_router(state, 3, 2)
    again.load_state_dict(state)
    assert torch.equal(again(z), router(z))
    products = router.scatter + router.sums.T @ (router.sums / router.counts[:, None])
    old = {"sums": router.sums, "counts": router.counts, "owners": router.owners, "products": products}
    for one in (old, {k: v for k, v in old.items() if k != "products"} | {"packed": upper_triangle(products)}):
        before = stored_router(one, 3, 2)
        before.load_state_dict(one)  # as commits had it, with sums over all experiences
        torch.testing.assert_close(before(z), router(z))
        before.add(router.sums[:1], router.counts[:1], products)
        assert before(z).shape == (60, 3) and "sums" in one
    for wrong in (
        {**old, "products": torch.zeros(2, 10**6)},
        {**old, "counts": router.counts[:2]},
        {k: v for k, v in old.items() if k != "owners"},
        {k: v for k, v in state.items() if k != "parts.1.counts"},
        {**state, "parts.0.packed": torch.zeros(5).double()},
        {**state, "parts.0.sums": router.sums[:, :2]},
        {k.replace("parts.0", "parts.5"): v for k, v in state.items()},
    ):
        with pytest.raises(ValueError, match=r"the router's|numbered"):
            stored_router(wrong, 3, 2)
    with pytest.raises(ValueError, match="were not learned"):
        stored_router(state, 3, 1)


def test_a_part_of_many_features_is_small_and_has_the_scatter_of_its_largest_directions() -> None:
    torch.manual_seed(1)
    width = 400
    rank = ranks(width)
    assert not is_exact(width) and is_exact(76) and not is_exact(77) and rank < width / 5
    few = torch.randn(rank, width).double() * torch.linspace(1, 20, rank)[:, None]
    z = torch.randn(500, rank).double() @ few + torch.randn(500, width).double()
    part = RouterPart.of(z.sum(0)[None], torch.tensor([500.0]).double(), z.T @ z)
    state = part.state_dict()
    assert sum(t.nbytes for n, t in state.items() if n in ("vectors", "values", "rest")) <= MOST_BYTES + 4 * width
    exact = (z - z.mean(0)).T @ (z - z.mean(0))
    torch.testing.assert_close(part.scatter.diagonal(), exact.diagonal(), rtol=0.02, atol=0)
    assert (part.scatter - exact).norm() < 0.02 * exact.norm()
    router = Router(width)
    router.parts.append(part)
    again = stored_router(router.state_dict(), width, 1)
    again.load_state_dict(router.state_dict())
    assert torch.equal(again.scatter, router.scatter)
    for wrong in ("values", "rest", "vectors"):
        with pytest.raises(ValueError, match="are missing or have another shape"):
            stored_router({k: v for k, v in router.state_dict().items() if not k.endswith(wrong)}, width, 1)


def test_without_experiences_an_experts_network_has_nothing_to_route() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2))
    network = ExpertsNetwork(model, "1", ["0"], 1.0, 1)
    network.add_task([0, 1], 0, 2, seed=1)
    assert network.eval()(torch.randn(5, 4)).shape == (5, 2)

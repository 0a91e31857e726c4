"""The router, and routers of stored states."""

from __future__ import annotations

import pytest
import torch

from strategies.adapters.experts_network import ExpertsNetwork
from strategies.adapters.router import Router, stored_router


def routed() -> tuple[Router, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    router = Router(3)
    z = torch.randn(60, 3).double() + torch.tensor([0.0, 4.0, 8.0]).repeat_interleave(20)[:, None]
    group = torch.arange(3).repeat_interleave(20)
    for owner, groups in ((0, (0, 2)), (1, (1,))):
        rows = torch.isin(group, torch.tensor(groups))
        sums = torch.zeros(3, 3).double().index_add_(0, group[rows], z[rows])
        router.add(owner, sums, group[rows].bincount(minlength=3).double(), z[rows].T @ z[rows])
    return router, z, group


def test_it_finds_the_experience_of_each_group_as_scikit_learn_does() -> None:
    discriminant = pytest.importorskip("sklearn.discriminant_analysis").LinearDiscriminantAnalysis
    router, z, group = routed()
    router.shrinkage = 0.0
    found = router(z.float()).exp()
    assert router.owners.tolist() == [0, 0, 1]
    torch.testing.assert_close(router.products, z.T @ z)
    expected = discriminant(solver="lsqr").fit(z.numpy(), group.numpy()).predict_proba(z.numpy())
    torch.testing.assert_close(found[:, 1], torch.from_numpy(expected[:, 1]), rtol=1e-3, atol=1e-4)


def test_a_stored_router_is_restored_and_one_that_does_not_fit_is_refused() -> None:
    router, z, _ = routed()
    state = router.state_dict()
    again = stored_router(state, 3, 2)
    again.load_state_dict(state)
    assert torch.equal(again(z), router(z))
    old = {**state, "products": router.products}
    del old["packed"]
    before = stored_router(old, 3, 2)
    before.load_state_dict(old)
    assert torch.equal(before(z), router(z)) and "products" in old
    with pytest.raises(ValueError, match="no square"):
        stored_router({**old, "products": torch.zeros(2, 10**6)}, 3, 2)
    for wrong in ({**state, "sums": state["sums"][:2]}, {k: v for k, v in state.items() if k != "owners"}):
        with pytest.raises(ValueError, match="are missing or have another shape"):
            stored_router(wrong, 3, 2)
    with pytest.raises(ValueError, match="were not learned"):
        stored_router(state, 3, 1)


def test_without_experiences_an_experts_network_has_nothing_to_route() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2))
    network = ExpertsNetwork(model, "1", ["0"], 1.0, 1)
    network.add_task([0, 1], 0, 2, seed=1)
    assert network.eval()(torch.randn(5, 4)).shape == (5, 2)

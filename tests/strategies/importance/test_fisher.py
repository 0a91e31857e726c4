"""The Fisher information against a loop that is written down as its definition says: a sample and a label at a time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strategies.importance.fisher import diagonal_fisher
from strategies.importance.per_sample_gradients import per_sample_moment
from tests.strategies import definitions, models

SHAPE = (1, 6, 6)

# torch.func has no rule for attention and loops.
pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")


class Residual(nn.Module):
    """Skips, in-place operations, strides, dilation and convolutions without bias."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv2d(1, 3, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(3)
        self.inner = nn.Conv2d(3, 3, 3, padding=2, dilation=2)
        self.leave = nn.Conv2d(3, 2, (2, 3), stride=(2, 1))
        self.head = nn.Linear(24, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.enter(x)).relu_()
        x = F.relu(self.inner(x) + x, inplace=True)
        return self.head(self.leave(x).tanh_().flatten(1))


class Sequence(nn.Module):
    """Linear layers that see (n, length, features)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(6, 5)
        self.head = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embed(x.squeeze(1)).tanh().mean(1))


class Folded(Sequence):
    """The same with all positions of all samples in one dimension."""

    def forward(self, x: Tensor) -> Tensor:
        n = len(x)
        return self.head(self.embed(x.reshape(n * 6, 6)).tanh().view(n, 6, 5).mean(1))


class TiedByFunction(nn.Module):
    """A weight that is used once by its layer and once without it."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(36, 5)
        self.head = nn.Linear(36, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.linear(self.enter(x.flatten(1)).tanh(), self.enter.weight.t()))


class OnlyByFunction(nn.Module):
    """A layer that is never called; its weight is used."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(36, 5)
        self.head = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.linear(x.flatten(1), self.enter.weight, self.enter.bias).tanh())


class Scaled(nn.Linear):
    """A linear layer with a parameter of its own."""

    def __init__(self, entering: int, leaving: int) -> None:
        super().__init__(entering, leaving)
        self.scale = nn.Parameter(torch.tensor(1.5))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.scale


class Named(nn.Module):
    """A layer that is called with the input's name."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(36, 5)
        self.head = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.enter(input=x.flatten(1)).tanh())


def attention() -> nn.Module:
    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
            self.head = nn.Linear(6, 4)

        def forward(self, x: Tensor) -> Tensor:
            x = x.squeeze(1)
            return self.head(self.attention(x, x, x, need_weights=False)[0].mean(1))

    return Attending()


def used_batch_norm() -> nn.Module:
    model = models.batch_norm(4)
    for layer in model:
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
            layer.weight.data.normal_()
    return model


def half_frozen() -> nn.Module:
    model = models.mlp(4)
    model[1].weight.requires_grad_(False)
    model[3].bias.requires_grad_(False)
    return model


MODELS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, 4)),
    "mlp": lambda: models.mlp(4),
    "conv": lambda: models.conv(4),
    "batch norm": used_batch_norm,
    "residual": Residual,
    "layer norm, shared and tied layers": lambda: models.Shared(4),
    "unused layers": lambda: models.Unused(4),
    "half frozen": half_frozen,
    "grouped convolution": lambda: nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3, groups=2), nn.Flatten(), nn.Linear(16, 4)
    ),
    "convolution, same size": lambda: nn.Sequential(nn.Conv2d(1, 2, 3, padding="same"), nn.Flatten(), nn.Linear(72, 4)),
    "convolution, circular": lambda: nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular"), nn.Flatten(), nn.Linear(72, 4)
    ),
    "sequence": Sequence,
    "folded": Folded,
    "tied by a function": TiedByFunction,
    "used by a function only": OnlyByFunction,
    "a parameter more": lambda: nn.Sequential(nn.Flatten(), Scaled(36, 5), nn.Tanh(), nn.Linear(5, 4)),
    "called by name": Named,
    "attention": attention,
    "prelu": lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, 5), nn.PReLU(), nn.Linear(5, 4)),
    "dropout": lambda: models.dropout(4),
}
CLOSED = {"linear", "mlp", "conv", "batch norm", "residual", "unused layers", "half frozen", "dropout", "sequence"}


@pytest.fixture
def inputs() -> Tensor:
    return torch.randn(7, *SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def make(name: str) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return MODELS[name]().double().train()


# log p is computed in single precision.
def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_it_is_what_its_definition_says(name: str, inputs: Tensor) -> None:
    model = make(name)
    found = diagonal_fisher(model, inputs)
    assert model.training
    assert_equal(found, definitions.fisher(model, inputs))


@pytest.mark.parametrize("name", MODELS)
def test_closed_forms_are_taken_where_they_exist(name: str, inputs: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    monkeypatch.setattr(
        "strategies.importance.per_sample_gradients._functional", lambda *arguments: called.append(name)
    )
    diagonal_fisher(make(name), inputs)
    assert (not called) == (name in CLOSED)


@pytest.mark.parametrize("name", ["mlp", "residual", "layer norm, shared and tied layers"])
def test_labels_of_the_data_and_units_of_a_task(name: str, inputs: Tensor) -> None:
    model = make(name)
    targets, units = torch.tensor([1, 3, 3, 1, 1, 3, 1]), torch.tensor([1, 3])
    for labels in (None, targets):
        for chosen in (None, units):
            assert_equal(
                diagonal_fisher(model, inputs, targets=labels, units=chosen),
                definitions.fisher(model, inputs, targets=labels, units=chosen),
            )


@pytest.mark.parametrize("name", ["mlp", "batch norm", "layer norm, shared and tied layers"])
@pytest.mark.parametrize("empirical", [False, True])
def test_parts_add_up_and_batches_do_not_matter(name: str, empirical: bool, inputs: Tensor) -> None:
    model = make(name)
    targets = torch.tensor([0, 1, 2, 3, 0, 1, 2]) if empirical else None
    whole = diagonal_fisher(model, inputs, targets=targets)
    total = {parameter: torch.zeros_like(value) for parameter, value in whole.items()}
    for part in (slice(0, 3), slice(3, 3), slice(3, 4), slice(4, 7)):
        found = diagonal_fisher(model, inputs[part], targets=None if targets is None else targets[part])
        assert found.keys() == whole.keys()
        for parameter, value in found.items():
            total[parameter] += value
    assert_equal(total, whole)


@pytest.mark.parametrize("name", ["mlp", "layer norm, shared and tied layers"])
def test_chunks_do_not_matter(name: str, inputs: Tensor) -> None:
    def squared_norm(outputs: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        return outputs.square().sum(1), rows + 1.0

    model = make(name)
    whole = per_sample_moment(model, inputs, [squared_norm])
    assert_equal(per_sample_moment(model, inputs, [squared_norm], chunk=2), whole)


@pytest.mark.parametrize("name", ["conv", "batch norm", "layer norm, shared and tied layers"])
def test_absolute_values_instead_of_squares(name: str, inputs: Tensor) -> None:
    model = make(name).eval()
    found = per_sample_moment(
        model, inputs, [lambda outputs, rows: (outputs.square().sum(1), torch.ones(len(outputs)))], absolute=True
    )
    parameters = dict(model.named_parameters())
    expected = {parameter: torch.zeros_like(value) for parameter, value in parameters.items()}
    for x in inputs:
        gradients = torch.autograd.grad(model(x[None]).square().sum(), list(parameters.values()))
        for parameter, gradient in zip(parameters, gradients, strict=True):
            expected[parameter] += gradient.abs()
    assert_equal(found, {parameter: value.detach() for parameter, value in expected.items()})


def test_it_is_not_the_square_of_the_batch_gradient(inputs: Tensor) -> None:
    """Squaring the mean over a batch is the well-known mistake: it shrinks with the batch."""
    model, targets = make("mlp"), torch.tensor([0, 1, 2, 3, 0, 1, 2])
    wrong = torch.autograd.grad(F.cross_entropy(model(inputs), targets), list(model.parameters()))
    right = diagonal_fisher(model, inputs, targets=targets)
    assert sum(g.square().sum() for g in wrong) < 0.5 * sum(v.sum() for v in right.values()) / len(inputs)


def test_the_model_stays_as_it_is(inputs: Tensor) -> None:
    model = make("batch norm")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    diagonal_fisher(model, inputs)
    diagonal_fisher(model, inputs, targets=torch.zeros(7, dtype=torch.int64))
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)
    assert all(p.grad is None for p in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())

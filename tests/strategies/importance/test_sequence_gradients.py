"""Per-sample gradients of the layers of transformers in closed form, against one backward pass for each sample."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from strategies.adapters.low_rank import ALL, adapt, add_adapter, target_names
from strategies.importance import per_sample_gradients
from strategies.importance.per_sample_gradients import per_sample_moment
from strategies.importance.sequence_gradients import has_positions
from tests.pipelines.models.pretrained import save_tiny_llama
from tests.strategies.importance.test_per_sample_gradients import one_by_one

TOKENS, WIDTH = 7, 4


class Sequences(nn.Module):
    """A small transformer with one head: tokens to (n, TOKENS, length)."""

    def __init__(self, seed: int, norm: type[nn.Module], bias: bool, padding: int | None) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.embedding = nn.Embedding(TOKENS, WIDTH, padding_idx=padding)
            self.positions = nn.Embedding(6, WIDTH)
            self.norm = norm(WIDTH)
            self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH, bias=bias) for _ in range(3))
            self.last = nn.LayerNorm((WIDTH,), bias=bias)
            self.head = nn.Linear(WIDTH, TOKENS, bias=bias)
            for parameter in self.parameters():
                nn.init.normal_(parameter, std=0.7)
        self.double()

    def forward(self, tokens: Tensor) -> Tensor:
        places = torch.arange(tokens.shape[1])[None]
        hidden = self.norm(self.embedding(tokens) + self.positions(places))
        seen = nn.functional.scaled_dot_product_attention(
            self.query(hidden), self.key(hidden), self.value(hidden), is_causal=True
        )
        output: Tensor = self.head(self.last(hidden + seen))
        return output.transpose(1, 2)


def weighted(output: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    return output.log_softmax(1)[:, 0].sum(1), rows.double() + 0.5


def squared(output: Tensor, rows: Tensor) -> tuple[Tensor, None]:
    return output.square().sum((1, 2)), None


def check(model: nn.Module, inputs: Tensor, absolute: bool, chunk: int, tolerance: float = 1e-9) -> None:
    def with_ones(output: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        return squared(output, rows)[0], torch.ones(len(output))

    expected = one_by_one(model, inputs, [weighted, with_ones], absolute)
    found = per_sample_moment(model, inputs, [weighted, squared], absolute=absolute, chunk=chunk)
    assert found.keys() == expected.keys() and found
    for name, tensor in found.items():
        torch.testing.assert_close(
            tensor, expected[name], rtol=tolerance, atol=tolerance, msg=lambda text, name=name: f"{name}: {text}"
        )


@contextmanager
def closed_only() -> Iterator[pytest.MonkeyPatch]:
    """A model that needs torch.func fails in the block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(per_sample_gradients, "_functional", lambda *given: pytest.fail("no closed form was taken"))
        yield patch


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 99),
    n=st.integers(1, 5),
    length=st.integers(1, 6),
    norm=st.sampled_from((nn.LayerNorm, nn.RMSNorm)),
    bias=st.booleans(),
    padding=st.sampled_from((None, 2)),
    adapters=st.booleans(),
    absolute=st.booleans(),
    chunk=st.integers(1, 5),
)
def test_it_is_what_single_samples_add_up_to(
    seed: int,
    n: int,
    length: int,
    norm: type[nn.Module],
    bias: bool,
    padding: int | None,
    adapters: bool,
    absolute: bool,
    chunk: int,
) -> None:
    """With all parameters, and with low-rank adapters alone; as long as the batch or not."""
    model = Sequences(seed, norm, bias, padding)
    if adapters:
        adapt(model, target_names(model, [ALL], "head", "lora"), 3.0, "head")
        add_adapter(model, "a", 2, seed)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(parameter)  # at 0 nothing would come back to A
    tokens = torch.randint(TOKENS, (n, length), generator=torch.Generator().manual_seed(seed))
    with closed_only() as patch:
        check(model, tokens, absolute, chunk)
        patch.setattr("strategies.importance.sequence_gradients._MOST", 1)
        check(model, tokens, absolute, chunk)


def test_a_llama_with_adapters_has_a_closed_form(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    from pipelines.models.causal_lm import CausalLM

    llama = transformers.AutoModelForCausalLM.from_pretrained(save_tiny_llama(tmp_path / "base"))
    model = CausalLM(llama, 12, "llama").double()
    adapt(model, target_names(model, ["q_proj", "v_proj"], "", "lora"), 4.0)
    add_adapter(model, "a", 2, 0)
    inputs = torch.tensor([[1, 2, 3, -1], [4, 5, 6, 7], [3, 3, 3, 3]], dtype=torch.int32)
    with closed_only():
        check(model, inputs, False, 2, 1e-6)


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("tied", [True, False])
def test_a_llama_that_learns_as_a_whole_has_a_closed_form(tmp_path: Path, tied: bool, absolute: bool) -> None:
    """Its own RMS normalisation, and a head with the weights of the embedding."""
    transformers = pytest.importorskip("transformers")
    from pipelines.models.causal_lm import CausalLM

    folder = save_tiny_llama(tmp_path / "base", tied=tied)
    model = CausalLM(transformers.AutoModelForCausalLM.from_pretrained(folder), 12, "llama").double()
    for name, parameter in model.named_parameters():
        if "norm" in name:
            nn.init.normal_(parameter, 1.0, 0.3)
    inputs = torch.tensor([[1, 2, 3, -1], [4, 5, 6, 7], [3, 3, 3, 3]], dtype=torch.int32)
    with closed_only():
        check(model, inputs, absolute, 2, 1e-5)


class Tied(nn.Module):
    """Tokens to (n, TOKENS, length), by one matrix; the head may scale what it gives, or the matrix be used again."""

    def __init__(self, padding: int | None, bias: bool, kind: str = "") -> None:
        super().__init__()
        torch.manual_seed(1)
        self.kind = kind
        self.embedding = nn.Embedding(TOKENS, WIDTH, padding_idx=padding)
        self.head = nn.Linear(WIDTH, TOKENS, bias=bias)
        nn.init.normal_(self.embedding.weight)
        self.head.weight = self.embedding.weight
        self.double()

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = self.embedding(tokens)
        if self.kind == "again":
            hidden = hidden + self.embedding.weight[0]
        output: Tensor = self.head(hidden.tanh())
        return output.transpose(1, 2)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("padding", [None, 3])
def test_what_comes_back_by_embedding_and_head_adds_up_before_the_square(padding: int | None, bias: bool) -> None:
    tokens = torch.tensor([[1, 1, 2], [3, 3, 0], [6, 5, 3], [3, 3, 3]])
    with closed_only() as patch:
        check(Tied(padding, bias), tokens, False, 3)
        patch.setattr("strategies.importance.sequence_gradients._MOST", 1)
        check(Tied(padding, bias), tokens, True, 4)


def test_a_tied_matrix_that_is_used_once_more_is_left_to_torch_func() -> None:
    check(Tied(None, True, "again"), torch.tensor([[1, 1, 2], [3, 3, 0]]), False, 3)


class SquaredNorm(nn.Module):
    """Is called a normalisation, and its weights are squared."""

    def __init__(self, power: int) -> None:
        super().__init__()
        self.weight, self.power = nn.Parameter(torch.rand(WIDTH) + 0.5), power

    def forward(self, inputs: Tensor) -> Tensor:
        normal = inputs * (inputs.square().mean(-1, keepdim=True) + 1e-6).rsqrt()
        return normal * (1 + self.weight) ** self.power + inputs


@pytest.mark.parametrize("power", [1, 2])
def test_a_layer_that_only_is_called_a_normalisation_is_left_to_torch_func(power: int) -> None:
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(3, WIDTH), SquaredNorm(power), nn.Linear(WIDTH, TOKENS)).double()
    inputs, taken = torch.rand(4, 5, 3, dtype=torch.float64), []
    with pytest.MonkeyPatch.context() as patch:
        real = per_sample_gradients._functional
        patch.setattr(per_sample_gradients, "_functional", lambda *given: (taken.append(1), real(*given))[1])
        check(model, inputs, False, 4)
    assert bool(taken) == (power == 2)


class LengthFirst(nn.Module):
    """A layer that has the positions in front, and the samples behind them."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 3).double()

    def forward(self, inputs: Tensor) -> Tensor:
        output: Tensor = self.layer(inputs.transpose(0, 1)).transpose(0, 1)
        return output


def test_what_only_looks_like_samples_in_front_is_left_to_torch_func() -> None:
    """With as many samples as positions, shapes do not tell them apart."""
    inputs = torch.rand(3, 3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    check(LengthFirst(), inputs, False, 500)


def test_layers_whose_gradient_is_another_one_have_no_closed_form() -> None:
    assert has_positions(nn.Embedding(3, 2)) and has_positions(nn.LayerNorm(2)) and has_positions(nn.RMSNorm(2))
    assert not has_positions(nn.Embedding(3, 2, max_norm=1.0))
    assert not has_positions(nn.Embedding(3, 2, scale_grad_by_freq=True))
    assert not has_positions(nn.GroupNorm(1, 2)) and not has_positions(nn.EmbeddingBag(3, 2))

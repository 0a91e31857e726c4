"""A pretrained transformer as a pipeline's model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipelines.config.pipeline_errors import PipelineError
from pipelines.models.build_model import build_model
from pipelines.models.transformers_encoder import kept_features
from strategies.adapters.low_rank import adapt, adapted_layers, add_adapter
from strategies.importance.per_sample_gradients import per_sample_moment
from tests.pipelines.models.pretrained import save_tiny_bert

TOKENS = torch.tensor([[1, 3, 4, 5, -1, -1], [1, 2, -1, -1, -1, -1], [7, 8, 9, 10, 11, 3]], dtype=torch.int32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_bert(tmp_path_factory.mktemp("pretrained"))


def build(folder: Path, **options: Any) -> nn.Module:
    return build_model("transformers", {"pretrained": str(folder), **options}, (6,), 3, seed=1).eval()


def test_it_computes_what_transformers_computes_for_each_text_alone(folder: Path) -> None:
    import transformers

    reference = transformers.BertModel.from_pretrained(folder).eval()
    for pooling in ("mean", "first", "last"):
        model = build(folder, pooling=pooling)
        for row, output in zip(TOKENS, model(TOKENS), strict=True):
            tokens = row[row >= 0].long()
            hidden = reference(input_ids=tokens[None]).last_hidden_state[0]
            pooled = {"mean": hidden.mean(0), "first": hidden[0], "last": hidden[-1]}[pooling]
            torch.testing.assert_close(output, model.head(pooled))  # type: ignore[operator]


def test_its_head_does_not_depend_on_what_the_library_draws(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    expected = build(folder).head.weight
    load = transformers.AutoModel.from_pretrained

    def draws_and_loads(*arguments: Any, **options: Any) -> Any:
        torch.rand(7)
        return load(*arguments, **options)

    monkeypatch.setattr(transformers.AutoModel, "from_pretrained", draws_and_loads)
    assert torch.equal(build(folder).head.weight, expected)  # type: ignore[arg-type]


def test_it_has_no_dropout_unless_it_is_given_and_can_be_frozen(folder: Path) -> None:
    model = build(folder).train()
    assert torch.equal(model(TOKENS), model(TOKENS))
    assert not torch.equal(*(build(folder, dropout=0.5).train()(TOKENS) for _ in range(2)))
    frozen = build(folder, frozen=True)
    assert {name for name, p in frozen.named_parameters() if p.requires_grad} == {"head.weight", "head.bias"}


def test_a_frozen_transformer_is_asked_once_for_each_text_and_a_text_s_batch_does_not_matter(folder: Path) -> None:
    asked: list[int] = []
    kept_features.cache_clear()
    model = build(folder, frozen=True)
    model.body.register_forward_hook(lambda *_: asked.append(1))  # type: ignore[operator, union-attr]
    whole = model(TOKENS)
    torch.testing.assert_close(whole, build(folder)(TOKENS))
    whole.sum().backward()
    assert model.head.weight.grad is not None  # type: ignore[union-attr]
    model.head = nn.Identity()
    model.head.weight = nn.Parameter(torch.zeros(0))
    assert torch.equal(torch.cat([model(TOKENS[2:]), model(TOKENS[:2].flip(0))]), model(TOKENS)[[2, 1, 0]])
    assert len(asked) == 3


def test_gradients_of_single_texts_are_those_of_each_text_alone(folder: Path) -> None:
    model = build(folder)

    def loss(output: Tensor, rows: Tensor) -> tuple[Tensor, None]:
        return output.square().sum(1), None

    total = per_sample_moment(model, TOKENS, [loss])
    expected = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for row in TOKENS:
        model.zero_grad()
        model(row[None]).square().sum().backward()
        for name, p in model.named_parameters():
            expected[name] += 0 if p.grad is None else p.grad.square()
    for name, value in expected.items():
        torch.testing.assert_close(total[name], value)


@pytest.mark.parametrize(
    ("options", "shape", "problem"),
    [
        ({"pretrained": "/no/such/folder"}, (6,), "model.pretrained: no folder '/no/such/folder'"),
        ({"pretrained": "s3://bucket/model"}, (6,), "must be a folder or a hub id"),
        ({}, (20,), "takes 16 tokens at most, and the dataset gives 20: set dataset.max_length: 16"),
        ({}, (3, 8, 8), r"takes tokens, \(length,\)"),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy(
    folder: Path, options: dict[str, str], shape: tuple[int, ...], problem: str
) -> None:
    with pytest.raises(PipelineError, match=problem):
        build_model("transformers", {"pretrained": str(folder), **options}, shape, 3, seed=1)


def test_a_folder_without_safe_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(PipelineError, match=r"must have config.json and weights in .safetensors"):
        build(tmp_path)


def test_a_hub_that_cannot_be_reached_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(PipelineError, match="Download it where the hub is reachable, and name the folder"):
        build_model("transformers", {"pretrained": "org/no-such-model"}, (6,), 3, seed=1)


def test_with_adapters_in_the_frozen_transformer_no_features_are_kept(folder: Path) -> None:
    kept_features.cache_clear()
    model = build(folder, frozen=True)
    names = [name for name, layer in model.body.named_modules() if name.endswith("query")]  # type: ignore[union-attr, operator]
    adapt(model.body, names, 4.0)  # type: ignore[arg-type]
    add_adapter(model.body, "stream", 2, seed=1)  # type: ignore[arg-type]
    for _, layer in adapted_layers(model):
        nn.init.normal_(layer.lora_B["stream"].weight)  # type: ignore[arg-type]
    adapted = model(TOKENS)
    adapted.sum().backward()
    assert all(p.grad is not None for name, p in model.named_parameters() if "lora_B" in name)
    plain = build(folder, frozen=True)(TOKENS)
    torch.testing.assert_close(plain, build(folder)(TOKENS))
    assert not torch.equal(plain, adapted)

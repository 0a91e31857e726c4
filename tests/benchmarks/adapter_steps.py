"""What a step with adapters costs, against a plain loop over PEFT's modules with the same passes: CPU time, paired."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from tests.benchmarks.pairs import Ratio, settle
from tests.benchmarks.text_tasks import made
from tests.strategies.streams import Rows, Step

BATCH, LENGTH, CLASSES, VOCABULARY = 16, 32, 4, 500
TARGETS = ["query", "value"]
MOST = 1.05
"""The largest ratio that is allowed."""


class Encoder(nn.Module):
    """A transformer of the size of MiniLM with random weights, the mean over the tokens, and a head."""

    def __init__(self) -> None:
        super().__init__()
        import transformers

        sizes = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
        dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        config = transformers.BertConfig(vocab_size=VOCABULARY, **sizes, **dropout)
        self.body = transformers.BertModel(config, add_pooling_layer=False)
        self.head = nn.Linear(384, CLASSES)

    def forward(self, tokens: Tensor) -> Tensor:
        """(n, length) to (n, classes)."""
        output: Tensor = self.head(self.body(input_ids=tokens).last_hidden_state.mean(1))
        return output


def ours(network: Encoder, data: Rows, entry: Mapping[str, Any]) -> Callable[[], object]:
    """A step of the learner."""
    learner = Learner(copy.deepcopy(network), [made(entry)], outputs=CLASSES, seed=1)
    task = Step(0, data, data, tuple(range(CLASSES)), None)
    settings = TrainSettings(epochs=None, steps=1_000_000, batch_size=BATCH, optimizer="adamw")
    steps: Iterator[int] = learner.steps(task, settings)
    return lambda: next(steps)


def plain(network: Encoder, data: Rows, config: Any) -> Callable[[], object]:
    """A step of a loop as PEFT's documentation has it, with a fused optimiser."""
    import peft

    model = peft.get_peft_model(copy.deepcopy(network), config).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3, fused=True)
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0)).split(BATCH)
    done = iter(range(1_000_000))

    def step() -> None:
        tokens, targets = data.take(order[next(done) % len(order)])
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(tokens), targets).backward()
        optimizer.step()

    return step


def measure() -> Ratio:
    """A step of `lora` against one with PEFT's LoRA."""
    import peft

    torch.manual_seed(0)
    network = Encoder()
    tokens = torch.randint(VOCABULARY, (320, LENGTH))
    data = Rows(tokens, torch.arange(320) % CLASSES, torch.arange(320))
    config = peft.LoraConfig(r=8, lora_alpha=16, target_modules=TARGETS, modules_to_save=["head"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        works = [ours(network, data, {"name": "lora", "targets": TARGETS}), plain(network, data, config)]
    (found,) = settle(works, spread=0.01, least=21, most=81)
    return found


def main() -> None:
    print("A step with adapters against a plain loop with PEFT, a MiniLM-sized encoder, 16 texts of 32 tokens")
    value = measure()
    print(
        f"  lora {value.ratio:.3f} ± {value.ratio * value.spread:.3f}   [{value.low:.3f} .. {value.high:.3f}]"
        f"   {1000 * value.ours:.0f} ms   at most {MOST}"
    )

"""What it costs a server to take another commit, or another experience's adapter, over the same frozen model."""

from __future__ import annotations

import itertools
import json
import tempfile
from pathlib import Path

import torch

from orchestrator.checkpointing.load_model import load_model
from orchestrator.checkpointing.shared_weights import SharedWeights, shared_bytes
from orchestrator.serving.batch_answers import answer_batch
from orchestrator.serving.model_swap import warmed_up
from orchestrator.serving.request_body import Question
from pipelines.config.load import load_text
from tests.benchmarks.pairs import compare
from tests.orchestrator.train_stream import train

FILE = """
name: switching
model: {{name: mlp, hidden: [{width}, {width}, {width}, {width}]}}
storage: {storage}
strategy: {{name: lora, rank: 8, per: experience}}
stream: {{dataset: digits, setting: task-incremental, experiences: 5}}
train: {{steps: 2, batch_size: 20}}
"""


def main(width: int = 2000) -> None:
    """Print the ratios, in CPU time.

    Args:
        width: of the model's four hidden layers.
    """
    with tempfile.TemporaryDirectory() as folder:
        pipeline = load_text(FILE.format(width=width, storage=json.dumps(str(Path(folder) / "store"))))
        commits = train(pipeline)
        served = SharedWeights(pipeline)
        current = served.load(commits[0])
        others = itertools.cycle(commits[1:])

        def shared() -> None:
            warmed_up("c" * 64, served.load(next(others)))

        def alone() -> None:
            warmed_up("c" * 64, load_model(pipeline, next(others)))

        swap = compare(shared, alone)
        models = [current, *(served.load(commit) for commit in commits[1:])]
        together, apart = shared_bytes(list(models))
        parameters = sum(p.numel() for p in current.parameters())

        model = warmed_up(commits[-1], models[-1])
        row = json.dumps({"inputs": [[0.5] * 64]}).encode()
        several = [Question(row, experience=number) for number in range(5)] * 4
        one = [Question(row, experience=0)] * len(several)
        with torch.no_grad():
            mixed = compare(lambda: answer_batch(model, several), lambda: answer_batch(model, one))
    print(f"Serving: another commit over a frozen model of {parameters / 1e6:.0f} million parameters, in CPU time")
    print(
        f"  its adapter and head beside the model that is there: {swap.ours:.3f} s, all of it: {swap.reference:.3f} s,"
        f" {swap.ratio:.3f} of it   [{swap.low:.3f} .. {swap.high:.3f}]"
    )
    print(f"  five commits take {together / 1e6:.0f} MB together, {apart / 1e6:.0f} MB apart")
    print(
        f"  a batch of 20 requests for five adapters against one for one: {mixed.ratio:.2f}"
        f"   [{mixed.low:.2f} .. {mixed.high:.2f}]"
    )

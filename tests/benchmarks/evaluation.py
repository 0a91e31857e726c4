"""Evaluation of T test sets against one plain pass over the same samples. `python -m tests.benchmarks.evaluation`"""

from __future__ import annotations

import torch

from strategies.loop.evaluation import EVALUATION_BATCH
from strategies.loop.learner import Learner
from strategies.methods.naive import Naive
from tests.benchmarks.pairs import Ratio, Work, settle
from tests.benchmarks.steps import Step, model


def works(tests: int = 10, device: str = "cpu") -> tuple[Work, Work]:
    """Evaluation of `tests` test sets of 1000 samples each, and the bare loop."""
    stream = [Step(k, 10) for k in range(tests)]
    learner = Learner(model(), [Naive()], outputs=10, device=device)
    net = learner.model.eval()

    @torch.inference_mode()
    def plain() -> None:
        for experience in stream:
            for start in range(0, len(experience.test), EVALUATION_BATCH):
                inputs = experience.test.inputs[start : start + EVALUATION_BATCH].to(device).float().div_(255.0)
                targets = experience.test.targets[start : start + EVALUATION_BATCH].to(device)
                (net(inputs).argmax(1) == targets).sum().item()

    return lambda: learner.assess(stream, tests), plain


def measure() -> Ratio:
    """CPU seconds of evaluating ten test sets, against the bare loop."""
    return settle(works(), spread=0.015, least=21, most=201)[0]


if __name__ == "__main__":
    torch.set_num_threads(1)
    result = measure()
    print(f"evaluation     {result.ratio:.3f} [{result.low:.3f} .. {result.high:.3f}]")

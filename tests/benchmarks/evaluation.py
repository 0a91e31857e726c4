"""Evaluation of T test sets against one plain pass over the same samples. `python -m tests.benchmarks.evaluation`"""

from __future__ import annotations

import torch

from strategies.loop.evaluation import EVALUATION_BATCH
from strategies.loop.learner import Learner
from strategies.methods.naive import Naive
from tests.benchmarks.pairs import Ratio, compare
from tests.benchmarks.steps import Step, model


def measure(tests: int = 10) -> Ratio:
    """CPU seconds of evaluating `tests` test sets of 1000 samples each, against the bare loop."""
    stream = [Step(k, 10) for k in range(tests)]
    learner = Learner(model(), [Naive()], outputs=10)
    net = learner.model.eval()

    @torch.inference_mode()
    def plain() -> None:
        for experience in stream:
            for start in range(0, len(experience.test), EVALUATION_BATCH):
                inputs = experience.test.inputs[start : start + EVALUATION_BATCH].float().div_(255.0)
                (net(inputs).argmax(1) == experience.test.targets[start : start + EVALUATION_BATCH]).sum().item()

    return compare(lambda: [learner.assess(stream, tests) for _ in range(10)], lambda: [plain() for _ in range(10)])


if __name__ == "__main__":
    torch.set_num_threads(1)
    result = measure()
    print(f"evaluation     {result.ratio:.3f} [{result.low:.3f} .. {result.high:.3f}]")

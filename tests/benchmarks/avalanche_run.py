"""One run of Avalanche, in an environment of its own: `python avalanche_run.py METHOD EPOCHS SEED FILE...`.

Each FILE is an experience, a .npz with x_train (n, 784) float32, y_train (n,), x_test and y_test. MLP 784-400-400-10,
Adam, batch 128; after each experience all test sets are evaluated. The last line is the average accuracy at the end.

torchvision's own operators do not load beside the CPU build of torch. Avalanche uses none of them, so declaring their
schemas before the import is enough. Samples come from tensors in memory, the fastest way that Avalanche has.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
import torch
from torch import nn

warnings.filterwarnings("ignore")
_operators = torch.library.Library("torchvision", "DEF")
for _name in ("nms", "qnms"):
    _operators.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "naive": ("Naive", {}),
    "ewc": ("EWC", {"ewc_lambda": 50.0}),
    "replay": ("Replay", {"mem_size": 500}),
    "lwf": ("LwF", {"alpha": 1.0, "temperature": 2.0}),
    "agem": ("AGEM", {"patterns_per_exp": 100, "sample_size": 256}),
    "gem": ("GEM", {"patterns_per_exp": 100, "memory_strength": 0.5}),
    "si": ("SynapticIntelligence", {"si_lambda": 1.0}),
}


def main(method: str, epochs: int, seed: int, files: list[str]) -> None:
    from avalanche.benchmarks import benchmark_from_datasets
    from avalanche.benchmarks.utils.classification_dataset import (
        _make_taskaware_tensor_classification_dataset as dataset,
    )
    from avalanche.evaluation.metrics import accuracy_metrics
    from avalanche.training import supervised
    from avalanche.training.plugins import EvaluationPlugin

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    arrays = [np.load(file) for file in files]
    streams = {
        part: [
            dataset(torch.from_numpy(a[f"x_{part}"]), torch.from_numpy(a[f"y_{part}"]), task_labels=0) for a in arrays
        ]
        for part in ("train", "test")
    }
    benchmark = benchmark_from_datasets(**streams)
    model = nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 400), nn.ReLU(), nn.Linear(400, 10))
    name, options = METHODS[method]
    strategy = getattr(supervised, name)(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=1e-3),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=128,
        train_epochs=epochs,
        eval_mb_size=1024,
        evaluator=EvaluationPlugin(accuracy_metrics(experience=True, stream=True), loggers=[]),
        **options,
    )
    results: dict[str, float] = {}
    for experience in benchmark.train_stream:
        strategy.train(experience)
        results = strategy.eval(benchmark.test_stream)
    each = [value for key, value in results.items() if key.startswith("Top1_Acc_Exp")]
    print(f"\n{sum(each) / len(each):.4f}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])

"""`make bench`: what Everlearn costs, as ratios against plain loops measured in the same run."""

from __future__ import annotations

import torch

from tests.benchmarks import evaluation, memory, parts, steps


def main() -> None:
    torch.set_num_threads(1)
    print("A training step against a bare PyTorch loop with the same passes (MLP 784-400-400-10, batch 128, CPU time)")
    for name, value in steps.measure():
        print(f"  {name:18} {value.ratio:.3f}   [{value.low:.3f} .. {value.high:.3f}]", flush=True)
    print(f"The exact Fisher of 2000 samples, one core: {steps.fisher_seconds():.2f} s")
    value = evaluation.measure()
    print(
        f"Evaluation of 10 test sets against one plain pass: {value.ratio:.3f}   [{value.low:.3f} .. {value.high:.3f}]"
    )
    print("Peak memory, by the length of the stream (20 MB an experience)")
    for length, peak in memory.measure().items():
        print(f"  {length:3} experiences {peak:6.0f} MB")
    print("A run of 5 experiences of MNIST, one epoch, one worker, by part")
    for name, seconds in parts.measure().items():
        print(f"  {name:56} {seconds:6.2f} s")


if __name__ == "__main__":
    main()

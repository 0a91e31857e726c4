"""Split MNIST in plain PyTorch, as a person would write it: `python plain_split_mnist.py FOLDER naive|ewc|replay`.

FOLDER holds MNIST's four IDX files, compressed or not. MLP 784-400-400-10, Adam, batch 128, one epoch, one head; after
each experience the ten test classes are evaluated, five sets. No lineage, no records.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CAPACITY, STRENGTH = 500, 100.0


def read(folder: Path, name: str) -> Tensor:
    packed = folder / f"{name}.gz"
    content = bytearray(gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / name).read_bytes())
    return torch.frombuffer(content, dtype=torch.uint8)[8 if "labels" in name else 16 :]


def fisher(model: nn.Module, x: Tensor, y: Tensor) -> list[Tensor]:
    total = [torch.zeros_like(p) for p in model.parameters()]
    for i in range(len(x)):
        gradients = torch.autograd.grad(F.cross_entropy(model(x[i : i + 1]), y[i : i + 1]), list(model.parameters()))
        for sum_, gradient in zip(total, gradients, strict=True):
            sum_ += gradient**2 / len(x)
    return total


def main() -> None:
    folder, method = Path(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x, tx = (read(folder, f"{part}-images-idx3-ubyte").view(-1, 784).float() / 255 for part in ("train", "t10k"))
    y, ty = (read(folder, f"{part}-labels-idx1-ubyte").long() for part in ("train", "t10k"))
    model = nn.Sequential(
        nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 400), nn.ReLU(), nn.Linear(400, 10)
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    kept_x, kept_y, tasks = torch.empty(0, 784), torch.empty(0, dtype=torch.long), []
    for task in range(5):
        mine = (y // 2 == task).nonzero().flatten()
        for rows in mine[torch.randperm(len(mine))].split(128):
            inputs, labels = x[rows], y[rows]
            loss = F.cross_entropy(model(inputs), labels)
            if method == "replay" and len(kept_x):
                drawn = torch.randint(len(kept_x), (128,))
                loss = (loss + F.cross_entropy(model(kept_x[drawn]), kept_y[drawn])) / 2
            for importance, anchor in tasks:
                for p, f, a in zip(model.parameters(), importance, anchor, strict=True):
                    loss = loss + STRENGTH / 2 * (f * (p - a) ** 2).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if method == "ewc":
            some = mine[torch.randperm(len(mine))[:2000]]
            tasks.append((fisher(model, x[some], y[some]), [p.detach().clone() for p in model.parameters()]))
        if method == "replay":
            some = mine[torch.randperm(len(mine))[: CAPACITY // 5]]
            kept_x, kept_y = torch.cat([kept_x, x[some]]), torch.cat([kept_y, y[some]])
        with torch.no_grad():
            for other in range(5):
                theirs = ty // 2 == other
                print(f"{(model(tx[theirs]).argmax(1) == ty[theirs]).float().mean():.3f}", end=" ")
        print()


if __name__ == "__main__":
    main()

"""Which shifts of MNIST are found, at how many samples: `python -m tests.benchmarks.drift_detection`.

After Rabanser, Guennemann & Lipton 2019, "Failing Loudly": a classifier's softmax outputs on shifted test images are
compared with those on images that it was not trained on, by Kolmogorov and Smirnov's test of each output with
Bonferroni's correction (BBSD, their best detector overall). The shifts are theirs: Gaussian noise, image shift (turned
and moved), and a class that is knocked out; and two that harm nothing: none at all, and images 3 % darker.

Each cell is the share of draws in which the p-value is below 0.05, and behind the slash in which Everlearn calls it
drift: an effect of at least 0.1 and above what is usual in the history, p below 0.05.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipelines.data.datasets.mnist import load
from pipelines.drift.two_sample import kolmogorov_smirnov
from pipelines.drift.verdicts import judge

SIZES = (10, 50, 100, 500, 1000, 5000)
ALPHA, LEAST_EFFECT = 0.05, 0.1
TRAINED, HISTORY = 55_000, 5
Array = np.ndarray


@dataclass(frozen=True)
class Row:
    """A shift.

    Attributes:
        name: of it.
        accuracy: of the classifier on all shifted test images.
        alarms: share of draws with a small p-value, by the number of samples.
        drift: share of draws that are called drift.
    """

    name: str
    accuracy: float
    alarms: dict[int, float]
    drift: dict[int, float]


def classifier(images: Tensor, labels: Tensor, epochs: int) -> nn.Module:
    """A perceptron with one hidden layer, trained with Adam."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(128):
            optimizer.zero_grad()
            F.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
    return model.eval()


def shifts(images: Tensor, labels: Tensor) -> Iterator[tuple[str, Tensor, Tensor]]:
    """The shifted test sets: name, images (n, 1, 28, 28) in 0 to 1, labels."""
    torch.manual_seed(1)
    yield "none", images, labels
    yield "3 % darker", images * 0.97, labels
    for deviation in (0.04, 0.1, 0.4):
        noise = deviation * torch.randn_like(images)
        yield f"noise {deviation:g}", (images + noise).clamp(0, 1), labels
    for degrees, share in ((10, 0.05), (40, 0.2), (90, 0.4)):
        yield f"turned {degrees}°, moved {share:.0%}", _moved(images, degrees, share), labels
    for share in (0.1, 0.5, 1.0):
        gone = (labels == 0) & (torch.rand(len(labels)) < share)
        yield f"{share:.0%} of class 0 gone", images[~gone], labels[~gone]


def _moved(images: Tensor, degrees: float, share: float) -> Tensor:
    """Each image turned by up to so many degrees and moved by up to this share of its width, as drawn for it."""
    count = len(images)
    turn = torch.deg2rad((2 * torch.rand(count) - 1) * degrees)
    move = (2 * torch.rand(count, 2) - 1) * 2 * share
    first = torch.stack([turn.cos(), -turn.sin(), move[:, 0]], 1)
    second = torch.stack([turn.sin(), turn.cos(), move[:, 1]], 1)
    grid = F.affine_grid(torch.stack([first, second], 1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def measure(draws: int = 10, *, epochs: int = 3, trained: int = TRAINED) -> list[Row]:
    """The table.

    Args:
        draws: of samples for each cell.
        epochs, trained: of the classifier, and on how many images; those that are left are the history.
    """
    data = load()
    images, labels = _all(data.train)
    tests, answers = _all(data.test)
    model = classifier(images[:trained], labels[:trained], epochs)
    history = np.array_split(_outputs(model, images[trained:]), HISTORY)
    rows = []
    for name, shifted, targets in shifts(tests, answers):
        outputs = _outputs(model, shifted)
        accuracy = float((outputs.argmax(1) == targets.numpy()).mean())
        cells = {size: _cell(history, outputs, size, draws) for size in SIZES}
        found = [{size: cell[part] for size, cell in cells.items()} for part in (0, 1)]
        rows.append(Row(name, accuracy, found[0], found[1]))
    return rows


def _cell(history: list[Array], outputs: Array, size: int, draws: int) -> tuple[float, float]:
    alarms = drifts = 0
    for draw in range(draws):
        random = np.random.default_rng([draw, size])
        sample = outputs[random.choice(len(outputs), size, replace=False)]
        found = judge(history, sample, kolmogorov_smirnov, least_effect=LEAST_EFFECT, alpha=ALPHA, seed=draw)
        alarms += found.p_value < ALPHA
        drifts += found.drift
    return alarms / draws, drifts / draws


def lines(rows: list[Row]) -> Iterator[str]:
    """The table as Markdown."""
    yield "| shift | accuracy | " + " | ".join(f"{size}" for size in SIZES) + " |"
    yield "| --- | --- |" + " --- |" * len(SIZES)
    for row in rows:
        cells = (f"{row.alarms[size]:.2f} / {row.drift[size]:.2f}" for size in SIZES)
        yield f"| {row.name} | {row.accuracy:.3f} | {' | '.join(cells)} |"


def _all(samples: object) -> tuple[Tensor, Tensor]:
    inputs, targets = samples.take(torch.arange(len(samples)))  # type: ignore[attr-defined, arg-type]
    return inputs.reshape(-1, 1, 28, 28).float() / 255, targets


def _outputs(model: nn.Module, images: Tensor) -> Array:
    with torch.inference_mode():
        return np.concatenate([torch.softmax(model(part), 1).numpy() for part in images.split(1000)]).astype(np.float64)


def main(draws: int = 10) -> None:
    print(f"Share of {draws} draws with p < {ALPHA:g} / called drift, by the number of samples")
    for line in lines(measure(draws)):
        print(line)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()

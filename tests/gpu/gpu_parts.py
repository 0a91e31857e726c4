"""The parts of `python -m tests.gpu`: each gives rows of a table."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from tests.benchmarks.bare import model
from tests.benchmarks.pairs import Ratio
from tests.gpu.gpu_clock import milliseconds, ratios, wall_seconds
from tests.gpu.gpu_loops import NETWORKS, DeviceLoop, our_loop
from tests.gpu.gpu_tests import run_gpu_tests

Row = dict[str, Any]
Measure = Callable[[], Row]
FEW = {"cuda": 12_000, "cpu": 300}
"""Samples of an experience; few where a part is only tried."""


@dataclass(frozen=True)
class Part:
    """One part.

    Attributes:
        seconds: most that it may take.
        measures: from a device to what each row is called and what measures it.
    """

    seconds: float
    measures: Callable[[str], Iterator[tuple[str, Measure]]]


def run_part(name: str, device: str, save: Callable[[dict[str, Any]], object] = lambda found: None) -> dict[str, Any]:
    """What the part found: its `state`, `rows` and `why`. A row that fails says so, and the others are measured.

    Args:
        save: gets what was found so far, after each row.
    """
    torch.set_num_threads(4 if device == "cuda" else 1)
    found: dict[str, Any] = {"state": "done", "rows": [], "why": ""}
    for what, measure in PARTS[name].measures(device):
        try:
            found["rows"].append({"": what, **measure()})
        except SkippedPart as reason:
            found |= {"state": "skipped", "why": str(reason)}
        except Exception as error:
            found["state"] = "failed"
            found["rows"].append({"": what, "failed": f"{type(error).__name__}: {str(error)[:100]}"})
            found["why"] += f"{what}: {''.join(traceback.format_exception(error)[-4:])}\n"
        save(found)
    return found


class SkippedPart(Exception):
    """The part cannot run on this machine, for the reason that it names."""


def _tests(device: str, *, ray: bool) -> Iterator[tuple[str, Measure]]:
    def run() -> Row:
        why, found = run_gpu_tests(ray)
        if why:
            raise SkippedPart(why)
        return found

    yield "tests marked gpu" + (" and ray" if ray else ""), run


def _ratio_row(found: list[Ratio], steps: int, *against: str) -> Row:
    row: Row = {"ms": found[0].ours / steps * 1e3}
    for name, ratio in zip(against, found, strict=True):
        row |= {f"{name} ms": ratio.reference / steps * 1e3, f"to {name}": ratio.ratio, "±": ratio.ratio * ratio.spread}
    return row


def _steps(device: str) -> Iterator[tuple[str, Measure]]:
    from tests.benchmarks.steps import METHODS, bare_of, begun

    def measure(name: str) -> Row:
        method, turn = METHODS[name], 20 if device == "cuda" else 1
        learner, steps = begun(method, model, device, FEW[device])
        bare = bare_of(method, learner, model, device)
        tutorial = bare_of(method, learner, model, device, fused=None)
        ours = partial(_take, steps, turn)
        return _ratio_row(
            ratios([ours, partial(bare, turn), partial(tutorial, turn)], device), turn, "fused", "default"
        )

    for name in METHODS if device == "cuda" else ["naive", "ewc after 1"]:
        yield name, partial(measure, name)


def _take(steps: Iterator[int], number: int) -> None:
    for _ in range(number):
        next(steps)


def _resnet(device: str) -> Iterator[tuple[str, Measure]]:
    def measure(strategy: str, bf16: bool, last: bool) -> Row:
        turn, n = (10, 12_000) if device == "cuda" else (1, 300)
        ours = our_loop("resnet18", device, strategy, channels_last=last, n=n, precision="bf16" if bf16 else "float32")
        bare = DeviceLoop("resnet18", device, bf16=bf16, channels_last=last, n=n)
        row = _ratio_row(ratios([partial(ours, turn), partial(bare, turn)], device, (9, 21)), turn, "bare")
        return {**row, "images/s": round(128e3 / row["ms"])}

    kinds = [("naive", bf16, last) for bf16 in (False, True) for last in (False, True)]
    kinds += [("ewc", True, False), ("si", True, False), ("replay", True, False)]
    for strategy, bf16, last in kinds if device == "cuda" else [("naive", False, True)]:
        what = f"{strategy}, {'bf16' if bf16 else 'float32'}{', channels last' if last else ''}"
        yield what, partial(measure, strategy, bf16, last)


def _feeds(device: str) -> Iterator[tuple[str, Measure]]:
    def measure(network: str) -> Row:
        turn, n = (20, 12_000) if device == "cuda" else (1, 300)
        row = {
            f"bare {feed} ms": milliseconds(partial(DeviceLoop(network, device, feed=feed, n=n), turn), device, 1)
            / turn
            for feed in ("pageable", "pinned", "resident")
        }
        for feed in ("pinned", "resident"):
            row[f"ours {feed} ms"] = (
                milliseconds(partial(our_loop(network, device, feed=feed, n=n), turn), device, 1) / turn
            )
        return row

    for network in NETWORKS:
        yield network, partial(measure, network)


def _optimizers(device: str) -> Iterator[tuple[str, Measure]]:
    def measure(network: str, kind: type[torch.optim.Optimizer], options: Row) -> Row:
        net = NETWORKS[network][0]().to(device)
        for parameter in net.parameters():
            parameter.grad = torch.full_like(parameter, 1e-3)
        row: Row = {}
        for name, more in (("loop", {"foreach": False}), ("foreach", {"foreach": True}), ("fused", {"fused": True})):
            optimizer = kind(net.parameters(), lr=1e-3, **options, **more)  # type: ignore[call-arg]
            row[f"{name} ms"] = milliseconds(optimizer.step, device, 20 if device == "cuda" else 1)
        return row

    kinds = {
        "adam": (torch.optim.Adam, {}),
        "adamw": (torch.optim.AdamW, {}),
        "sgd": (torch.optim.SGD, {}),
        "sgd, momentum": (torch.optim.SGD, {"momentum": 0.9}),
    }
    for network in NETWORKS:
        for name, (kind, options) in kinds.items():
            yield f"{network}, {name}", partial(measure, network, kind, options)


def _graphs(device: str) -> Iterator[tuple[str, Measure]]:
    """A whole step as one CUDA graph, images resident: whether graphs would pay."""

    def measure(network: str, bf16: bool) -> Row:
        if device != "cuda":
            raise SkippedPart("CUDA graphs need a GPU")
        options: Row = {"feed": "resident", "bf16": bf16, "channels_last": bf16}
        eager = DeviceLoop(network, device, fused=True, **options)
        loop = DeviceLoop(network, device, fused=True, capturable=True, **options)
        index = torch.randperm(12_000, device=device)[:128]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(5):
                loop.step(index)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            loop.step(index)
        one = milliseconds(graph.replay, device, 50)
        other = milliseconds(partial(eager, 1), device, 50)
        ours = our_loop(network, device, feed="resident", channels_last=bf16, precision="bf16" if bf16 else "float32")
        return {
            "graph ms": one,
            "eager ms": other,
            "ours ms": milliseconds(partial(ours, 1), device, 50),
            "graph to eager": one / other,
        }

    for network in NETWORKS:
        for bf16 in (False, True):
            yield f"{network}, {'bf16' if bf16 else 'float32'}", partial(measure, network, bf16)


def _evaluation(device: str) -> Iterator[tuple[str, Measure]]:
    from tests.benchmarks import evaluation

    def passes() -> Row:
        ours, plain = evaluation.works(10 if device == "cuda" else 1, device)
        return _ratio_row(ratios([ours, plain], device), 1, "plain")

    yield "evaluation of 10 test sets, mlp", passes


def _fisher(device: str) -> Iterator[tuple[str, Measure]]:
    from strategies.importance.fisher import diagonal_fisher

    def measure(network: str, n: int) -> Row:
        make, shape = NETWORKS[network]
        net, inputs = make().to(device), torch.rand(n, *shape).to(device)
        work = partial(diagonal_fisher, net, inputs)
        work()
        return {"samples": n, "seconds": min(wall_seconds(work, device) for _ in range(3))}

    sizes = {"mlp": 2000, "resnet18": 500} if device == "cuda" else {"mlp": 100}
    for network, n in sizes.items():
        yield f"exact Fisher, {network}", partial(measure, network, n)


PARTS = {
    "steps": Part(200, _steps),
    "resnet18": Part(70, _resnet),
    "feeds": Part(40, _feeds),
    "graphs": Part(40, _graphs),
    "optimizers": Part(30, _optimizers),
    "evaluation": Part(30, _evaluation),
    "fisher": Part(30, _fisher),
    "tests": Part(200, partial(_tests, ray=False)),
    "tests-on-ray": Part(150, partial(_tests, ray=True)),
}
"""In the order in which they run; what may take longest is last."""

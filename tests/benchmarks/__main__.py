"""`make bench`: what Everlearn costs, as ratios against plain loops measured in the same run.

`make bench ARGS="steps scale"` runs these sections only. `peers` and `lane_peers` install other libraries, and
`text_tasks`, `fashion_features` and `languages` need data and a pretrained model: these run only when named.
`adapter_steps` and `generation` need everlearn[llm].
`start`, `ray_start` and `peers` take `rounds=5`, `peers` also `epochs=1` and `methods=naive,ewc`, `lanes` takes
`megabytes=3000`: `make bench ARGS="peers rounds=5 epochs=1"`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch

from tests.benchmarks import (
    adapter_steps,
    blobs,
    evaluation,
    fashion_features,
    generation,
    growth,
    lane_peers,
    lanes,
    languages,
    memory,
    parts_of_a_run,
    peers,
    ray_start,
    recovery,
    scale,
    search,
    start,
    steps,
    switching,
    text_tasks,
)


def _steps() -> None:
    steps.main()
    value = steps.fisher()
    print(
        f"The exact Fisher of 2000 samples: {value.ours:.2f} s, against a pass for each label: {value.ratio:.3f} "
        f"± {value.ratio * value.spread:.3f}"
    )


def _evaluation() -> None:
    value = evaluation.measure()
    print(
        f"Evaluation of 10 test sets against one plain pass: {value.ratio:.3f}   [{value.low:.3f} .. {value.high:.3f}]"
    )


def _memory() -> None:
    print("Peak memory, by the length of the stream (20 MB an experience)")
    for length, peak in memory.measure().items():
        print(f"  {length:3} experiences {peak:6.0f} MB")


def _parts() -> None:
    print("A run of 5 experiences of MNIST, one epoch, one worker, by part")
    for line in parts_of_a_run.lines(parts_of_a_run.measure()):
        print(f"  {line}")


OPTIONS: dict[str, str] = {}


def _rounds() -> dict[str, int]:
    return {name: int(value) for name, value in OPTIONS.items() if name == "rounds"}


def _start() -> None:
    start.main(**_rounds())


def _ray_start() -> None:
    ray_start.main(**_rounds())


def _peers() -> None:
    options: dict[str, Any] = {name: value.split(",") for name, value in OPTIONS.items()}
    if "rounds" in options:
        options["rounds"] = int(OPTIONS["rounds"])
    if "epochs" in options:
        options["epochs"] = [int(value) for value in options["epochs"]]
    peers.main(**options)


def _lanes() -> None:
    lanes.main(**{name: float(value) for name, value in OPTIONS.items() if name == "megabytes"})


def _lane_peers() -> None:
    known: dict[str, Callable[[str], Any]] = {"megabytes": float, "rounds": int, "ways": lambda value: value.split(",")}
    lane_peers.main(**{name: known[name](value) for name, value in OPTIONS.items() if name in known})


def _methods() -> dict[str, Any]:
    return {
        **{name: int(value) for name, value in OPTIONS.items() if name == "seeds"},
        **{name: value.split(",") for name, value in OPTIONS.items() if name == "methods"},
    }


def _text_tasks() -> None:
    tried = {
        name: [float(value) for value in values.split(",")]
        for name, values in OPTIONS.items()
        if name not in ("seeds", "methods", "validate")
    }
    text_tasks.main(**_methods(), validate=float(OPTIONS.get("validate", "0")), tried=tried)


def _languages() -> None:
    replay, sequences = OPTIONS.get("replay", "0,0.05,0.25"), OPTIONS.get("sequences", "32")
    languages.main(replay, int(sequences))


ONLY_NAMED = ("peers", "lane_peers", "text_tasks", "fashion_features", "languages")

SECTIONS: dict[str, Callable[[], None]] = {
    "start": _start,
    "ray_start": _ray_start,
    "peers": _peers,
    "steps": _steps,
    "adapter_steps": adapter_steps.main,
    "evaluation": _evaluation,
    "growth": growth.main,
    "memory": _memory,
    "parts": _parts,
    "search": search.main,
    "recovery": recovery.main,
    "blobs": blobs.main,
    "lanes": _lanes,
    "lane_peers": _lane_peers,
    "scale": scale.main,
    "switching": switching.main,
    "text_tasks": _text_tasks,
    "fashion_features": lambda: fashion_features.main(**_methods()),
    "languages": _languages,
    "generation": generation.main,
}


def main() -> None:
    OPTIONS.update(given.split("=", 1) for given in sys.argv[1:] if "=" in given)
    chosen = [given for given in sys.argv[1:] if "=" not in given] or [
        name for name in SECTIONS if name not in ONLY_NAMED
    ]
    unknown = [name for name in chosen if name not in SECTIONS]
    if unknown:
        sys.exit(f"no such section: {', '.join(unknown)}. There are: {', '.join(SECTIONS)}")
    torch.set_num_threads(1)
    for name in chosen:
        SECTIONS[name]()
        print(flush=True)


if __name__ == "__main__":
    main()

"""Random valid pipeline documents."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

OWN = "tests.pipelines.own_components"

positive = st.floats(1e-6, 1e6)
counts = st.integers(1, 1000)
shares = st.floats(0.01, 0.99)
texts = st.text(min_size=1, max_size=20).filter(lambda text: "${" not in text and text.isprintable())


settings = st.sampled_from(["class-incremental", "task-incremental", "domain-incremental"])


def _fields(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


@st.composite
def streams(draw: st.DrawFn) -> dict[str, Any]:
    dataset = draw(
        st.sampled_from(
            [
                "digits",
                {"name": "digits"},
                {"name": f"{OWN}:any_dataset", "x": [1, None]},
                {"name": f"{OWN}:blobs", "centres": 4},
            ]
        )
    )
    stream: dict[str, Any] = {"dataset": dataset}
    kind = draw(st.sampled_from(["even", "explicit", "transform", "stored"]))
    if kind == "transform":
        stream["setting"] = draw(settings)
        stream["experiences"] = draw(st.integers(1, 6))
        angles = st.none() | positive | st.lists(positive, min_size=6, max_size=8)
        stream["transform"] = draw(st.sampled_from(["permute", "rotate"]) | angles.map(_rotate))
        return stream
    stream["setting"] = draw(settings)
    if kind != "stored" and stream["setting"] != "task-incremental":
        stream |= draw(_fields({}, {"blurry": st.floats(0, 0.9)}))
    if kind == "explicit":
        classes = draw(st.lists(st.integers(0, 99), min_size=2, max_size=8, unique=True))
        stream["order"] = [classes[:1], classes[1:]]
        return stream
    if kind == "even":
        stream["experiences"] = draw(st.integers(2 if stream.get("blurry") else 1, 6))
    stream["order"] = draw(st.sampled_from(["natural", "shuffled"]))
    return stream


def _rotate(degrees: object) -> dict[str, Any]:
    return {"name": "rotate", "degrees": degrees}


optimizers = st.sampled_from(["sgd", "adam", "adamw", "rmsprop", "adagrad"]) | st.one_of(
    _fields({}, {"lr": positive, "reset": st.booleans(), "betas": st.tuples(shares, shares).map(list)}),
    _fields({"name": st.just("sgd")}, {"momentum": positive, "weight_decay": positive}),
)
schedulers = st.sampled_from([None, "CosineAnnealingLR", {"name": "StepLR", "step_size": 3}])
training = {
    "batch_size": st.integers(64, 512),
    "clip": st.none() | positive,
    "warmup": st.integers(0, 10),
    "precision": st.sampled_from(["float32", "bf16"]),
    "optimizer": optimizers,
    "scheduler": schedulers,
}
lengths = st.sampled_from([{}, {"epochs": 3}, {"steps": 7}])
own_options = _fields({}, {"lambda": positive, "samples": counts, "layers": st.lists(counts, max_size=3)})


@st.composite
def trains(draw: st.DrawFn, experiences: int | None) -> dict[str, Any]:
    train = {**draw(lengths), **draw(_fields({}, {**training, "accumulate": st.integers(1, 4)}))}
    indices = st.integers(0, (experiences or 5) - 1)
    override = st.builds(
        lambda one, two, own: {**one, **two, **({"strategy": {f"{OWN}:Hold": own}} if own else {})},
        lengths,
        _fields({}, {**training, "optimizer": st.sampled_from(["sgd", {"lr": 0.5}, {"name": "adam", "eps": 0.1}])}),
        own_options,
    )
    if draw(st.booleans()):
        train["per_experience"] = draw(st.dictionaries(indices, override, max_size=3))
    return train


@st.composite
def pipelines(draw: st.DrawFn) -> dict[str, Any]:
    """A document that `load_text` accepts once it is written as YAML."""
    stream = draw(streams())
    order = stream.get("order")
    experiences = len(order) if isinstance(order, list) else stream.get("experiences")
    hold = {"name": f"{OWN}:Hold", **draw(own_options)}
    others = draw(st.lists(st.sampled_from(["naive", f"{OWN}:Checked"]), unique=True))
    tune = _fields(
        {
            "space": st.just({f"strategy.{OWN}:Hold.lambda": {"loguniform": [1, 10]}, "seed": {"randint": [0, 9]}})
            | st.just({"model": {"choice": ["mlp", {"name": "mlp", "hidden": [3]}]}})
        },
        {
            "metric": st.sampled_from(["forgetting", "average_accuracy"]),
            "mode": st.sampled_from(["min", "max"]),
            "trials": counts,
            "validation": shares,
            "time_budget": positive,
            "resources": st.just({"cpu": 0.5}),
        },
    )
    optional = {
        "seed": st.integers(0, 2**31),
        "scaling": _fields(
            {},
            {
                "workers": st.integers(1, 8) | st.tuples(st.integers(1, 4), st.integers(4, 8)).map(list),
                "gpu": st.booleans(),
                "resources": st.just({"CPU": 2}),
            },
        ),
        "storage": st.sampled_from(["folder", "s3://bucket/prefix", "$${x}", "${HOME}/x", "${EVERLEARN_NO:-a}"]),
        "tracking": _fields(
            {}, {"uri": texts.map(lambda text: text.replace("$", "")).filter(bool), "experiment": texts}
        ),
        "tune": tune,
        "published": st.just({"average_accuracy": 0.5}),
    }
    return {
        "name": draw(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)),
        "stream": stream,
        "model": draw(
            st.sampled_from(["mlp", {"name": "mlp", "hidden": [10, 10]}, {"name": f"{OWN}:Net", "width": 3}])
        ),
        "strategy": draw(st.permutations([hold, *others])),
        "train": draw(trains(experiences)),
        **draw(_fields({}, optional)),
    }

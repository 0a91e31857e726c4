"""`everlearn validate`: check a pipeline file, and show what it would run."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.support.command_options import Command, file_argument, json_option, load, set_option
from orchestrator.cli.support.output import console, print_json, reserved_stdout

if TYPE_CHECKING:
    from rich.table import Table

    from pipelines.config.schema import Pipeline
    from pipelines.data.streams import Stream


@click.command("validate", cls=Command, short_help="Check FILE and show what it would run.")
@file_argument()
@set_option
@click.option("--dry-run", "trial", is_flag=True, help="Also call your own code: load the data and train one batch.")
@json_option
def validate(file: str, overrides: tuple[str, ...], trial: bool, as_json: bool) -> None:
    """Check FILE, its data and its components, and show what it would run, without running it.

    Code of your own is imported, but not called: the data of your own dataset and the size of your own model are then
    not shown. With --dry-run it is called: one batch is trained and evaluated, and its state is saved and loaded, in
    this process. The storage and the tracking server are not contacted.
    """
    if as_json:
        with reserved_stdout() as stdout:
            pipeline = load(file, overrides)
            print_json(_description(pipeline, trial), stdout)
        return
    pipeline = load(file, overrides)
    description = _description(pipeline, trial)
    screen = console()
    screen.print(f"{file} is valid", style="bold")
    screen.print()
    screen.print(_overview(pipeline, description))
    if description["features"] is not None:
        screen.print()
        screen.print(_features(description["features"]))
    screen.print()
    if description["experiences"] is None and pipeline.stream.source is not None:
        screen.print("What arrives is not read here: `everlearn sources` shows what was admitted", soft_wrap=True)
    elif description["experiences"] is None:
        name = pipeline.stream.dataset.name
        screen.print(f"{name} is not called here: --dry-run and run load its data", soft_wrap=True)
    else:
        screen.print(_experiences(description["experiences"], description["class_names"]))
    for text in description["warnings"]:
        screen.print()
        screen.print(f"warning: {text}", style="yellow")


def _description(pipeline: Pipeline, trial: bool) -> dict[str, Any]:
    from orchestrator.updates.admitted_stream import stream_of
    from pipelines.build import make_model, make_objective, make_stream
    from pipelines.config.components import is_built_in
    from pipelines.config.named_scores import scores_for
    from pipelines.data.named_columns import named_columns
    from pipelines.gating.column_slices import check_columns

    stream = parameters = frozen = None
    arriving = pipeline.stream.source is not None
    if trial or (is_built_in("datasets", pipeline.stream.dataset.name) and not arriving):
        stream = stream_of(pipeline) if arriving else make_stream(pipeline)
        if is_built_in("objectives", pipeline.objective.name):
            make_objective(pipeline, stream.outputs)
        scores_for(pipeline, stream.unit_names)
        if pipeline.gate is not None and pipeline.gate.slices is not None:
            check_columns(pipeline.gate.slices.by, [column.name for column in named_columns(stream)])
        if trial or is_built_in("models", pipeline.model.name):
            model = make_model(pipeline, stream)
            parameters = sum(parameter.numel() for parameter in model.parameters())
            frozen = sum(parameter.numel() for parameter in model.parameters() if not parameter.requires_grad)
        if trial:
            from orchestrator.training.dry_run import dry_run

            dry_run(pipeline, stream)
    return {
        "pipeline": pipeline.to_document(masked=True),
        "experiences": _experience_documents(pipeline, stream) if stream is not None else None,
        "class_names": list(stream.class_names) if stream is not None and stream.class_names else None,
        "outputs": stream.outputs if stream is not None else None,
        "input_shape": list(stream.input_shape) if stream is not None else None,
        "features": _feature_documents(stream) if stream is not None else None,
        "parameters": parameters,
        "frozen": frozen,
        "test": _test_rule(pipeline),
        "reading": _reading(pipeline, stream) if stream is not None else None,
        "warnings": [*pipeline.warnings(), *(_data_warnings(pipeline, stream) if stream is not None else ())],
    }


def _feature_documents(stream: Stream) -> list[dict[str, Any]] | None:
    if stream.preprocessing is None:
        return None
    encoders = stream.preprocessing.encoders
    return [{"column": e.name, "kind": e.kind, "becomes": e.words, "inputs": len(e.columns)} for e in encoders]


def _data_warnings(pipeline: Pipeline, stream: Stream) -> list[str]:
    from pipelines.data.features.feature_warnings import feature_warnings
    from strategies.api.data import target_counts
    from strategies.metrics import data_warning

    if pipeline.objective.name != "classification" or pipeline.score not in (None, "accuracy"):
        return list(stream.warnings)
    samples: Counter[int] = Counter()
    for experience in stream:
        counts = target_counts(experience.train, stream.outputs)
        samples.update({unit: n for unit, n in enumerate(counts.tolist()) if n})
    majority = None if pipeline.objective.extras.get("class_weights") else data_warning(samples, stream.unit_names)
    return [*stream.warnings, *feature_warnings(pipeline, stream), *([] if majority is None else [majority])]


def _test_rule(pipeline: Pipeline) -> str | None:
    """Which samples are for testing, where the dataset's options say it."""
    from pipelines.config.component_options import takes_option
    from pipelines.data.datasets.held_out_part import test_rule

    dataset = pipeline.stream.dataset
    says = pipeline.stream.source is None and all(
        takes_option("datasets", dataset.name, key) for key in ("test", "test_fraction")
    )
    return test_rule(dataset.options) if says else None


def _reading(pipeline: Pipeline, stream: Stream) -> dict[str, Any] | None:
    """How much memory reading takes, where data is read by blocks."""
    from pipelines.data.blocks.read_ahead import reader_memory

    batch = max(pipeline.train.at(index).batch_size for index in range(len(stream)))
    found = [
        reader_memory(experience.train, pipeline.stream.lanes, pipeline.stream.window, pipeline.scaling.minimum, batch)
        for experience in stream
    ]
    largest = max((one for one in found if one is not None), key=lambda one: one.bytes, default=None)
    if largest is None:
        return None
    from pipelines.data.blocks.block_cache import cache_text

    remote = str(pipeline.stream.dataset.extras.get("path", "")).startswith("s3://")
    return {"bytes": largest.bytes, "text": f"{largest}; {cache_text()}" if remote else str(largest)}


def _experience_documents(pipeline: Pipeline, stream: Stream) -> list[dict[str, Any]]:
    from pipelines.data.experience_names import experience_names

    experiences = []
    for experience, name in zip(stream, experience_names(stream), strict=True):
        train = pipeline.train.at(experience.index)
        samples = len(experience.train)
        steps = train.steps or (train.epochs or 1) * math.ceil(samples / train.batch_size)
        experiences.append(
            {
                "index": experience.index,
                "name": name,
                "classes": list(experience.classes),
                "train": samples,
                "test": len(experience.test),
                "steps": steps,
            }
        )
    return experiences


def _overview(pipeline: Pipeline, description: dict[str, Any]) -> Table:
    from rich.table import Table

    from orchestrator.progress.number_format import count

    document, experiences = description["pipeline"], description["experiences"]
    stream, train = document["stream"], document["train"]
    lasts = f"{train['steps']:,} steps" if train.get("steps") else count(train["epochs"], "epoch")
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    table.add_row("pipeline", f"{pipeline.name}, seed {pipeline.seed}")
    kind = f"{_named(stream['dataset'])}, {stream['setting']}"
    length = len(experiences) if experiences is not None else pipeline.stream.length
    if length is not None:
        kind += f", {count(length, 'experience')}"
    if stream.get("transform"):
        kind += f", {_named(stream['transform'])}"
    if stream["blurry"]:
        kind += f", blurry {stream['blurry']:g}"
    table.add_row("stream", kind + (", online" if stream["online"] else ""))
    if description["test"] is not None:
        table.add_row("test part", description["test"])
    table.add_row("model", ", ".join([_named(document["model"]), *_size(description)]))
    if document["objective"] != {"name": "classification"}:
        table.add_row("objective", _named(document["objective"]))
    if pipeline.score or pipeline.metrics:
        from pipelines.config.named_scores import named_scores

        score, *others = (one.name for one in named_scores(pipeline))
        table.add_row("score", score + (f", beside it {', '.join(others)}" if others else ""))
    table.add_row("strategy", ", then ".join(_named(spec) for spec in document["strategy"]))
    table.add_row("train", f"{lasts} of each, batch {train['batch_size']}, {_named(train['optimizer'])}")
    scaling = pipeline.scaling
    elastic = f"{scaling.minimum} to {scaling.maximum} workers"
    workers = count(scaling.minimum, "worker") if scaling.minimum == scaling.maximum else elastic
    table.add_row("scaling", workers + (" on GPUs" if scaling.gpu else ""))
    if description["reading"] is not None:
        table.add_row("reading", description["reading"]["text"])
    table.add_row("storage", document["storage"])
    table.add_row("tracking", f"{document['tracking']['uri']}, experiment {document['tracking']['experiment']}")
    return table


def _size(description: dict[str, Any]) -> list[str]:
    """What the data and the model say of the model's size."""
    from orchestrator.progress.number_format import count

    sizes = []
    if description["input_shape"] is not None:
        sizes.append(f"{'x'.join(map(str, description['input_shape']))} to {description['outputs']} outputs")
    if description["parameters"] is not None:
        sizes.append(count(description["parameters"], "parameter"))
    if description["frozen"]:
        sizes.append(f"{description['frozen']:,} of them frozen")
    return sizes


def _named(spec: Any) -> str:
    """{name: ewc, lambda: 400.0} as "ewc (lambda 400)"; options that are false or null are left out."""
    if not isinstance(spec, dict):
        return str(spec)
    shown = {key: value for key, value in spec.items() if key != "name" and value is not None and value is not False}
    options = ", ".join(f"{key} {_shown(value)}" for key, value in shown.items())
    return f"{spec['name']} ({options})" if options else str(spec["name"])


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key} {_shown(inner)}" for key, inner in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def _features(features: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for heading in ("column", "kind", "becomes (fitted on experience 0)"):
        table.add_column(heading)
    for one in features:
        table.add_row(one["column"], one["kind"], one["becomes"])
    return table


def _experiences(experiences: list[dict[str, Any]], names: list[str] | None) -> Table:
    from rich.table import Table

    from orchestrator.progress.number_format import classes
    from orchestrator.progress.printable import printable

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("experience", justify="right")
    divided = any(one["classes"] for one in experiences)
    # Where experiences differ in their classes, these name them already.
    named = len({tuple(one["classes"]) for one in experiences}) == 1 and any(one["name"] for one in experiences)
    if named:
        table.add_column("name", overflow="ellipsis", no_wrap=True, max_width=30)
    if divided:
        table.add_column("classes")
    for heading in ("train", "test", "steps"):
        table.add_column(heading, justify="right")
    for one in experiences:
        numbers = (f"{one[key]:,}" for key in ("train", "test", "steps"))
        called = [printable(one["name"] or "")] if named else []
        held = [classes(one["classes"], 40, names)] if divided else []
        table.add_row(str(one["index"]), *called, *held, *numbers)
    return table

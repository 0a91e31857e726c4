"""What a run will do: for each experience, the id that its commit will have and what decides it."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.lineage.commit import commit_id
from pipelines.build import strategy_class
from pipelines.config.components import resolve

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    from pipelines.config.schema import Pipeline
    from pipelines.data.streams import Stream


@dataclass(frozen=True)
class PlannedCommit:
    """The commit that training an experience will make.

    Attributes:
        id: its id, known before training.
        parent: id of the commit before it, None for the first.
        fingerprint: of the experience's data.
        spec: everything of the pipeline that influences it and not its parent alone.
    """

    id: str
    parent: str | None
    fingerprint: str
    spec: Mapping[str, Any]


def make_plan(pipeline: Pipeline, stream: Stream) -> list[PlannedCommit]:
    """The commits of a pipeline on a stream, oldest first.

    An id depends on the data, the model, the strategies, the training and the seed as far as they matter up to that
    experience; not on the number of workers, the storage, the tracking, nor on later experiences. Options that a
    strategy declares to matter only `since` a later experience are left out before it, but for online streams.
    """
    plan: list[PlannedCommit] = []
    parent: str | None = None
    for index in range(len(stream)):
        spec = influence(pipeline, stream, index)
        fingerprint = f"{stream.fingerprint(index)}:{stream.test_fingerprint(index)}"
        id_ = commit_id(parent=parent, fingerprint=fingerprint, spec=spec)
        plan.append(PlannedCommit(id_, parent, fingerprint, spec))
        parent = id_
    return plan


def influence(pipeline: Pipeline, stream: Stream, index: int) -> dict[str, Any]:
    """The parts of a pipeline that influence the commit after experience `index`, beside its parent and its data."""
    train = pipeline.train.at(index).model_dump(
        mode="json", exclude={"per_experience", "accumulate", "checkpoint_every"}
    )
    model: dict[str, Any] = {"name": pipeline.model.name, **pipeline.model.options}
    online = pipeline.stream.online
    # Left out where they are off: lineages are older than they.
    kind = {"online": online, "blurry": pipeline.stream.blurry}
    return {key: value for key, value in kind.items() if value} | {
        "seed": pipeline.seed,
        "setting": stream.setting,
        "input_shape": list(stream.input_shape),
        "outputs": stream.outputs,
        "model": model | _code("models", pipeline.model.name),
        "strategy": [
            strategy_influence(spec.name, spec.options, index, online=online) for spec in pipeline.strategy_at(index)
        ],
        "train": train,
    }


def strategy_influence(name: str, options: BaseModel, index: int, *, online: bool = False) -> dict[str, Any]:
    """What of a strategy influences the commit after experience `index`; in an online stream all of its options do."""
    return {"name": name} | _since(options, index, online) | _code("strategies", name)


def _since(options: BaseModel, index: int, online: bool) -> dict[str, Any]:
    """The options that have an effect by experience `index`, without those that were added later and are not used."""
    fields = type(options).model_fields
    late = {name for name in fields if not online and _first_effect(options, name) > index}
    unused = {
        name
        for name, field in fields.items()
        if _extra(field).get("added") and getattr(options, name) == field.get_default(call_default_factory=True)
    }
    return options.model_dump(mode="json", by_alias=True, exclude=late | unused)


def _first_effect(options: BaseModel, name: str) -> int:
    from strategies.api.strategy import StrategyOptions

    if isinstance(options, StrategyOptions):
        return options.first_effect(name)
    return int(_extra(type(options).model_fields[name]).get("since", 0))


def _extra(field: FieldInfo) -> Mapping[str, Any]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, Mapping) else {}


def _code(kind: str, name: str) -> dict[str, str]:
    """The source of a user's own component, as a hash: editing it makes other commits. Empty for built-in ones."""
    found: Any = strategy_class(name) if kind == "strategies" else resolve(kind, name)
    module = getattr(found, "__module__", None) or ""
    if module.partition(".")[0] in ("strategies", "pipelines"):
        return {}
    try:
        source = inspect.getsourcefile(sys.modules[module])
    except (KeyError, TypeError):
        return {}
    return {"code": hashlib.sha256(Path(source).read_bytes()).hexdigest()} if source else {}

"""What a run will do: for each experience, the id that its commit will have and what decides it."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from orchestrator.lineage.canonical_json import canonical_json
from orchestrator.lineage.clarified_settings import clarified
from orchestrator.lineage.commit import commit_id_of
from pipelines.config.components import Kind, resolve
from pipelines.config.found_settings import with_found
from pipelines.config.sections.section import NamedSpec
from pipelines.models.trained_weights import trained_weights
from strategies.api.influence import all_at_once, at_default, influences

if TYPE_CHECKING:
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
    experience; not on the number of workers, the storage, the tracking, nor on later experiences. What each setting
    influences, and from which experience on, its annotation says (`influential`).
    """
    if pipeline.stream.lanes is not None:
        from pipelines.data.blocks.hash_blocks import hash_blocks

        hash_blocks(stream)
    stream.find_fingerprints()
    plan: list[PlannedCommit] = []
    parent: str | None = None
    own = _with_own_settings(pipeline, stream)
    # Settings only join with the index: once an experience has all that a much later one has, those between have them.
    end: Mapping[str, Any] = influence(pipeline, stream, max(own, default=0) + len(stream))
    spelled, steady = canonical_json(end), False
    for index in range(len(stream)):
        spec = end if steady and index not in own else influence(pipeline, stream, index)
        steady = steady or (index not in own and spec == end)
        fingerprint = f"{stream.fingerprint(index)}:{stream.test_fingerprint(index)}"
        id_ = commit_id_of(parent, fingerprint, spelled if spec is end else canonical_json(spec))
        plan.append(PlannedCommit(id_, parent, fingerprint, spec))
        parent = id_
    return plan


def _with_own_settings(pipeline: Pipeline, stream: Stream) -> set[int]:
    """The experiences whose settings are their own, and those after them: a change of capacity counts in both."""
    named = {*pipeline.train.per_experience, *stream.settings}
    return named | {index + 1 for index in named}


def influence(pipeline: Pipeline, stream: Stream, index: int) -> dict[str, Any]:
    """The parts of a pipeline that influence the commit after experience `index`, beside its parent and its data."""
    shape: dict[str, Any] = {"input_shape": list(stream.input_shape), "outputs": stream.outputs}
    if stream.preprocessing is not None:
        # Tables that differ in it alone, such as in their currency, give the same inputs, and not the same model.
        shape["preprocessing"] = stream.preprocessing.digest
    pipeline = with_found(pipeline, stream.settings, (index - 1, index))
    found = shape | influential(pipeline.at(index), index)
    weights, spec = trained_weights(pipeline), pipeline.model.trained_weights
    if weights is not None and spec is not None:
        # Their content counts, and not where they lie.
        found["model"]["weights"] = influential(spec, index) | {"sha256": weights.sha256}
    return clarified(found, pipeline, stream, index)


def influential(part: BaseModel, index: int, *, at_once: bool = False) -> dict[str, Any]:
    """The fields of a part of a pipeline that influence the commit after experience `index`, as plain data.

    What each field influences, and from which experience on, is what its annotation says
    (`strategies.api.influence`). One that was added later is left out while it is at its default, so that stored
    lineages are found by the same ids.

    Args:
        at_once: every field has an effect from experience 0 on.
    """
    at_once = at_once or all_at_once(part)
    fields, said = type(part).model_fields, influences(type(part))
    kept = {name for name in fields if at_once or _effect(part, name) <= index}
    kept -= {name for name in kept if said[name].added is not None and at_default(part, name)}
    values = {name for name in kept if said[name].on == "model"}
    sections = {name for name in kept if said[name].on == "section"}
    options = part.declared_options if isinstance(part, NamedSpec) else None
    written = set(part.extras) if isinstance(part, NamedSpec) and options is not None else set()
    found: dict[str, Any] = part.model_dump(mode="json", by_alias=True, exclude={*fields} - values | written)
    for name in values:
        key = fields[name].serialization_alias or name
        found[key] = _nested(getattr(part, name), found[key], index, at_once)
    for name in sections:
        found |= influential(getattr(part, name), index, at_once=at_once)
    if options is not None:
        found |= influential(options, index, at_once=at_once)
    if isinstance(part, NamedSpec) and part.component is not None:
        found |= _code(part.component, part.name) | _content(part)
    return found


def _effect(part: BaseModel, name: str) -> int:
    from strategies.api.strategy import StrategyOptions

    # Asked only where no setting makes all of them have an effect at once.
    return part.first_effect(name) if isinstance(part, StrategyOptions) else influences(type(part))[name].experience


def _nested(value: Any, data: Any, index: int, at_once: bool) -> Any:
    """The plain data of a field's value, without what has no influence in the parts that the value holds."""
    if isinstance(value, BaseModel):
        # A part with a form of its own in plain data keeps it.
        return influential(value, index, at_once=at_once) if data == _plain(value) else data
    if isinstance(value, (list, tuple)) and isinstance(data, list) and len(value) == len(data):
        return [_nested(one, plain, index, at_once) for one, plain in zip(value, data, strict=True)]
    if isinstance(value, dict) and isinstance(data, dict) and len(value) == len(data):
        pairs = zip(value.values(), data.items(), strict=True)
        return {key: _nested(one, plain, index, at_once) for one, (key, plain) in pairs}
    return data


def _plain(part: BaseModel) -> Any:
    return part.model_dump(mode="json", by_alias=True)


def _content(part: NamedSpec) -> dict[str, str]:
    """Options that name files, by the hash of what the files hold: for components with a function `content`."""
    assert part.component is not None
    content = getattr(resolve(part.component, part.name), "content", None)
    return dict(content(part.extras)) if callable(content) else {}


def _code(kind: Kind, name: str) -> dict[str, str]:
    """The source of a user's own component, as a hash: editing it makes other commits. Empty for built-in ones."""
    found: Any = resolve(kind, name)
    module = getattr(found, "__module__", None) or ""
    if module.partition(".")[0] in ("strategies", "pipelines"):
        return {}
    try:
        source = inspect.getsourcefile(sys.modules[module])
    except (KeyError, TypeError):
        return {}
    return {"code": hashlib.sha256(Path(source).read_bytes()).hexdigest()} if source else {}

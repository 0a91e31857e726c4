"""Trained weights that a model starts from: read from a file or a commit, named by their content, put into the model.

Whoever can read commits says how (`read_commits_by`): this room knows no store. A process keeps what it read last, and
a worker is handed what its driver has read (`hold`), so that it needs neither the file nor the store.
"""

from __future__ import annotations

import difflib
import fnmatch
import hashlib
import io
import pickle
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pipelines.config.pipeline_errors import DataError, PipelineError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pipelines.config.schema import Pipeline
    from pipelines.config.sections.model_section import WeightsSpec

KEY = "model.weights"
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_SHOWN = 3

CommitReader = Callable[[str, str, str], tuple[str, Callable[[], "Mapping[str, Tensor]"]]]
"""From storage, pipeline and a commit's ref or id to its full id, and a function that gives its model's tensors."""

_commit_reader: CommitReader | None = None
_held: dict[str, TrainedWeights] = {}


@dataclass(frozen=True, eq=False)
class TrainedWeights:
    """Tensors by name.

    Attributes:
        tensors: as they are stored.
        sha256: of their names, dtypes, shapes and values, whatever holds them.
        source: what holds them, for messages.
    """

    tensors: Mapping[str, Tensor]
    sha256: str
    source: str


def read_commits_by(reader: CommitReader) -> None:
    """Say how commits are read."""
    global _commit_reader
    _commit_reader = reader


def hold(pipeline: Pipeline, weights: TrainedWeights) -> None:
    """Let this process use these weights for a pipeline, instead of reading them."""
    _held.clear()
    _held[_name(pipeline)] = weights


def trained_weights(pipeline: Pipeline) -> TrainedWeights | None:
    """The weights that a pipeline's model starts from; None: they are drawn from the seed.

    Raises:
        PipelineError: they cannot be read, or are not tensors by name.
    """
    spec = pipeline.model.trained_weights
    if spec is None:
        return None
    held = _held.get(_name(pipeline))
    if held is not None:
        return held
    try:
        if spec.path is not None:
            return _of_file(spec.path)
        assert spec.commit is not None and spec.pipeline is not None
        return _of_commit(spec.storage or pipeline.storage, spec.pipeline, spec.commit)
    except DataError as error:
        raise PipelineError(f"{KEY}: {error}") from error


def put_into(model: nn.Module, weights: TrainedWeights, spec: WeightsSpec) -> None:
    """Give a model, in place, trained weights under its names; values take the model's dtype.

    Raises:
        PipelineError: names or shapes differ; it names the nearest ones, and the remedy.
    """
    import torch

    own = model.state_dict()
    found = _renamed(weights, spec.rename)
    for name in [name for name in found if _matches(name, spec.ignore)]:
        del found[name]
    lacking = [name for name in own if name not in found and not _matches(name, spec.missing)]
    if lacking:
        raise PipelineError(
            f"{KEY}: {weights.source} has no {_nearest(lacking, found)}. {_rename_hint(lacking, found)}"
            f"{_pattern_hint(lacking, 'missing')} leaves the model its first values there"
        )
    unknown = [name for name in found if name not in own]
    if unknown:
        raise PipelineError(
            f"{KEY}: {weights.source} has what the model lacks: {_nearest(unknown, own)}. {_rename_hint(own, unknown)}"
            f"{_pattern_hint(unknown, 'ignore')} leaves it out"
        )
    for name, tensor in found.items():
        if tensor.shape != own[name].shape:
            only = _pattern_hint([name], "missing"), _pattern_hint([name], "ignore")
            raise PipelineError(
                f"{KEY}: {name} is {list(tensor.shape)} in {weights.source}, and {list(own[name].shape)} in the model. "
                f"For a new layer there, {only[0]} and {only[1]}"
            )
    with torch.no_grad():
        model.load_state_dict({**own, **found})


def _name(pipeline: Pipeline) -> str:
    return f"{pipeline.storage} {pipeline.model.trained_weights!r}"


def _of_file(path: str) -> TrainedWeights:
    from pipelines.data.datasets.location import Location, states

    location = Location.of(path)
    return _read_file(location, *states([location]))


@lru_cache(maxsize=1)
def _read_file(location: Any, state: Any) -> TrainedWeights:
    """The tensors of a file; one that is unchanged is read once."""
    import torch

    with location.open() as file:
        data = file.read()
    safe = location.name.lower().endswith(".safetensors")
    try:
        if safe:
            from safetensors.torch import load

            return _named(load(data), location.path)
        return _named(torch.load(io.BytesIO(data), map_location="cpu", weights_only=True), location.path)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{location.path}: holds more than tensors, and code in it is not run: save model.state_dict() alone"
        ) from error
    except PipelineError:
        raise
    except Exception as error:  # of safetensors and torch: whatever is wrong in the file
        kind = "safetensors" if safe else "PyTorch"
        reason = (str(error).strip() or type(error).__name__).partition("\n")[0][:150]
        raise DataError(f"{location.path}: is no {kind} file that can be read: {reason}") from error


def _of_commit(storage: str, pipeline: str, commit: str) -> TrainedWeights:
    if _commit_reader is None:
        raise PipelineError(f"{KEY}: commits are read where Everlearn's package `orchestrator` was imported")
    id_, read = _commit_reader(storage, pipeline, commit)
    return _read_commit(id_, f"commit {id_[:12]} of {pipeline}", read)


_last: dict[str, TrainedWeights] = {}


def _read_commit(id_: str, source: str, read: Callable[[], Mapping[str, Tensor]]) -> TrainedWeights:
    if id_ not in _last:
        _last.clear()
        _last[id_] = _named(read(), source)
    return _last[id_]


def _named(loaded: Any, source: str) -> TrainedWeights:
    """What was read as tensors by name; a training script's dictionary around them is taken off."""
    from torch import Tensor

    for wrapper in _WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            loaded = loaded[wrapper]
    if not isinstance(loaded, Mapping) or not loaded:
        raise DataError(f"{source}: holds a {type(loaded).__name__}, not tensors by name: save model.state_dict()")
    for name, value in loaded.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise DataError(f"{source}: {str(name)[:60]!r} is no tensor: save model.state_dict() alone")
    tensors = {name: tensor.detach() for name, tensor in loaded.items()}
    return TrainedWeights(tensors, _content(tensors), source)


def _content(tensors: Mapping[str, Tensor]) -> str:
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}\n{tensor.dtype}\n{list(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _renamed(weights: TrainedWeights, rename: Mapping[str, str]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, tensor in weights.tensors.items():
        start = next((start for start in rename if name.startswith(start)), None)
        new = name if start is None else rename[start] + name.removeprefix(start)
        if new in found:
            raise PipelineError(f"{KEY}.rename: two tensors of {weights.source} would be called {new!r}")
        found[new] = tensor
    return found


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _nearest(names: list[str], others: Iterable[str]) -> str:
    """A few of the names, each with the one that is nearest among the others."""
    known = list(others)
    shown = []
    for name in names[:_SHOWN]:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
        shown.append(f"{name} (nearest: {near[0]})" if near else name)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(shown) + more


def _rename_hint(model: Iterable[str], weights: Iterable[str]) -> str:
    """The renaming under which the first of the weights' names is one of the model's, if a beginning differs alone."""
    theirs = list(weights)
    for name in model:
        for other in theirs:
            for long, short in ((name, other), (other, name)):
                if long.endswith(f".{short}"):
                    start = long.removesuffix(short)
                    first, second = ("", start) if long is name else (start, "")
                    return f'Did you mean `rename: {{"{first}": "{second}"}}`? '
    return ""


def _pattern_hint(names: list[str], key: str) -> str:
    """A pattern that covers names, as in a file."""
    layers = sorted({name.rpartition(".")[0] for name in names})
    pattern = f"{layers[0]}.*" if len(layers) == 1 and layers[0] else names[0] if len(names) == 1 else "..."
    return f"`{key}: [{pattern}]`"

"""The `model` part of a pipeline file, and trained weights that it starts from."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from pipelines.config.component_options import takes_option, validate
from pipelines.config.document import KeyPath
from pipelines.config.messages import explain
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.sections.section import OptionsSpec, Spec, refuse
from strategies.api.influence import NOT_LEARNED, Influence

SUFFIXES = (".safetensors", ".pt", ".pth")

_ADDED = Influence(added="0.2")
_FORMS = "must be a file such as base.safetensors, {path: base.pt, ...} or {commit: latest, pipeline: base}"


class WeightsSpec(Spec):
    """Trained weights that a model starts from. A file's path alone may stand in its place.

    Attributes:
        path: a .safetensors, .pt or .pth file, here or s3://; of the latter two, tensors alone are read, and no code
            is run.
        commit: instead of `path`: a ref, or the first characters of a commit's id.
        pipeline: whose commit it is.
        storage: the store that has it; None: that of this pipeline.
        rename: how names of the weights begin, and how those of the model begin, such as {"encoder.": "body."}.
        missing: patterns of the model's names that the weights may lack: they keep their first values.
        ignore: patterns of the weights' names, after renaming, that are left out.
    """

    path: Annotated[str | None, NOT_LEARNED] = Field(default=None, min_length=1, max_length=4096)
    commit: Annotated[str | None, NOT_LEARNED] = Field(default=None, min_length=1, max_length=200)
    pipeline: Annotated[str | None, NOT_LEARNED] = Field(default=None, pattern=r"^[a-z0-9][a-z0-9._-]*$")
    storage: Annotated[str | None, NOT_LEARNED] = Field(default=None, min_length=1)
    rename: Annotated[dict[str, str], _ADDED] = Field(default_factory=dict)
    missing: Annotated[list[str], _ADDED] = Field(default_factory=list)
    ignore: Annotated[list[str], _ADDED] = Field(default_factory=list)

    def to_document(self) -> Any:
        """As in a pipeline file, without what is at its default."""
        return {key: value for key, value in super().to_document().items() if value}

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        problems: list[tuple[KeyPath, str]] = []
        if (self.path is None) == (self.commit is None):
            problems.append(((), _FORMS))
        elif self.path is not None:
            problems += [
                ((key,), "is for weights of a commit: leave it out")
                for key in ("pipeline", "storage")
                if getattr(self, key) is not None
            ]
            if not self.path.lower().endswith(SUFFIXES):
                problems.append((("path",), f"must end in {', '.join(SUFFIXES)}"))
        elif self.pipeline is None:
            problems.append((("pipeline",), "is required with commit: whose commit it is"))
        refuse(problems)
        return self


def weights_of(value: Any) -> WeightsSpec:
    """The weights that a file names. A local path becomes absolute: workers have other working directories.

    Raises:
        PydanticCustomError: they are wrong; for use in a validator.
    """
    given = {"path": value} if isinstance(value, str) else value
    if not isinstance(given, dict):
        refuse([(("weights",), _FORMS)])
    try:
        found, _ = validate(WeightsSpec, given)
    except ValidationError as error:
        path: KeyPath = ("weights",)
        problems = explain(error, WeightsSpec, given)
        refuse([((*path, *(problem.path if given is value else ())), problem.text) for problem in problems])
        raise
    assert isinstance(found, WeightsSpec)
    if found.path is None or "://" in found.path:
        return found
    return found.model_copy(update={"path": str(Path(found.path).expanduser().absolute())})


class ModelSpec(OptionsSpec):
    """A model and its options.

    Attributes:
        name: a built-in or registered name, or an import path such as my_package.models:build.
        weights: trained weights that the model starts from, a file or a commit; None: they are drawn from the seed. A
            model of your own that has an option of this name is given it as its option.
    """

    component = "models"

    weights: Annotated[Any, _ADDED] = None

    @property
    def options(self) -> dict[str, Any]:
        """The model's own options as written."""
        own = self.weights is not None and takes_option("models", self.name, "weights")
        return self.extras | ({"weights": self.weights} if own else {})

    @property
    def trained_weights(self) -> WeightsSpec | None:
        """The weights that it starts from; None: those drawn from the seed."""
        if self.weights is None or takes_option("models", self.name, "weights"):
            return None
        return weights_of(self.weights)

    @model_validator(mode="after")
    def _weights_fit(self) -> Self:
        with suppress(PipelineError):  # an unknown model is said where its options are checked
            weights = self.trained_weights
            if weights is not None:
                # The model is frozen once it is constructed, and this is part of the construction.
                self.__dict__["weights"] = weights.to_document()
        return self

"""The schema of a pipeline file."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from pipelines.config.component_options import options_model, strategy_options, takes_option, validate
from pipelines.config.components import Kind, is_built_in, registered_stores
from pipelines.config.document import KeyPath
from pipelines.config.environment_variables import DEFAULT_STORAGE, DEFAULT_TRACKING, escape, expand
from pipelines.config.lane_problems import lane_problems
from pipelines.config.masking import mask_value
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.sections.capability_section import CapabilitySpec, capability_problems
from pipelines.config.sections.cluster_section import ClusterSpec
from pipelines.config.sections.evaluate_section import EvaluateSpec
from pipelines.config.sections.gate_section import GateSpec
from pipelines.config.sections.model_section import ModelSpec
from pipelines.config.sections.scaling_section import ScalingSpec
from pipelines.config.sections.section import NamedSpec, Spec, refuse
from pipelines.config.sections.stream_section import StreamSpec
from pipelines.config.sections.train_section import TrainSpec
from pipelines.config.sections.tune_section import Metric, TuneSpec
from pipelines.config.sections.update_section import UpdateSpec, update_problems
from strategies.api.influence import LEARNED, NOT_LEARNED, SECTION, Influence
from strategies.metrics import find_metric

if TYPE_CHECKING:
    from strategies.api.strategy import Strategy


class StrategySpec(NamedSpec):
    """A strategy; the other keys are its options.

    Attributes:
        name: a built-in or registered name, or an import path such as my_package.methods:StayClose.
    """

    component = "strategies"

    @property
    def options(self) -> BaseModel:
        """The options as an instance of the strategy's own `Options`.

        Raises:
            PipelineError: the strategy cannot be imported.
            pydantic.ValidationError: it does not take these options; never for a pipeline that was loaded.
        """
        return strategy_options(self.name, self.extras)

    @property
    def declared_options(self) -> BaseModel:
        return self.options


class ObjectiveSpec(NamedSpec):
    """What is learned, and how it is weighed; the other keys are its options.

    Attributes:
        name: a built-in or registered name, or an import path such as my_package.objectives:Ranking.
    """

    component = "objectives"

    @property
    def declared_options(self) -> BaseModel:
        """The options as an instance of the objective's own `Options`."""
        return validate(options_model("objectives", self.name), self.extras)[0]


class TrackingSpec(Spec):
    """Where MLflow records the metrics.

    Attributes:
        uri: MLflow's tracking URI. Environment variables are read here: ${NAME} or ${NAME:-default}.
        experiment: name of the MLflow experiment; the pipeline's name by default.
    """

    uri: Annotated[str, NOT_LEARNED] = Field(default_factory=lambda: expand(DEFAULT_TRACKING), min_length=1, repr=False)
    experiment: Annotated[str, NOT_LEARNED] = Field(default="", max_length=250)


class Pipeline(Spec):
    """A pipeline file with all defaults filled in. Made by `pipelines.config.load`.

    Attributes:
        name: the name of the pipeline; its lineage is stored under it.
        seed: the seed of everything random.
        stream: the data, and how it is cut into experiences.
        model: what is trained.
        objective: what it should do, and the options of its loss.
        score: what the score matrix holds, by default what the objective says: accuracy for classification. Changing it
            trains nothing anew: stored models are evaluated.
        metrics: further scores, which are recorded for each test set and for all test sets so far taken together.
        capabilities: what the model should still be able to do, asked before the first experience and after each.
            Changing it trains nothing anew: stored models are asked.
        strategy: methods against forgetting, in the order in which they are applied.
        train: how each experience is trained.
        evaluate: on which test sets each model is evaluated; by default on all.
        scaling: how many workers train, and what each of them needs.
        storage: a folder or s3://bucket/prefix. Environment variables are read here: ${NAME} or ${NAME:-default}.
        tracking: where MLflow records the metrics.
        cluster: the Ray cluster that `everlearn submit` sends it to.
        gate: what a commit must hold to before it becomes the champion, the model in use.
        update: when `everlearn step` trains what has arrived; without, at once.
        tune: what `everlearn tune` searches.
        published: figures of a paper by metric, shown beside the measured ones.
    """

    name: Annotated[str, NOT_LEARNED] = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=100)
    seed: Annotated[int, LEARNED] = Field(default=0, ge=0)
    stream: Annotated[StreamSpec, SECTION]
    model: Annotated[ModelSpec, LEARNED]
    objective: Annotated[ObjectiveSpec, Influence(added="0.2")] = ObjectiveSpec(name="classification")
    score: Annotated[str | None, NOT_LEARNED] = None
    metrics: Annotated[list[str] | None, NOT_LEARNED] = None
    capabilities: Annotated[list[CapabilitySpec] | None, NOT_LEARNED] = None
    strategy: Annotated[list[StrategySpec], LEARNED] = Field(
        default_factory=lambda: [StrategySpec(name="naive")], min_length=1
    )
    train: Annotated[TrainSpec, LEARNED] = TrainSpec()
    evaluate: Annotated[EvaluateSpec | None, Influence(added="0.2")] = None
    scaling: Annotated[ScalingSpec, NOT_LEARNED] = ScalingSpec()
    storage: Annotated[str, NOT_LEARNED] = Field(
        default_factory=lambda: expand(DEFAULT_STORAGE), min_length=1, repr=False
    )
    tracking: Annotated[TrackingSpec, NOT_LEARNED] = Field(default_factory=TrackingSpec)
    cluster: Annotated[ClusterSpec | None, NOT_LEARNED] = None
    gate: Annotated[GateSpec | None, NOT_LEARNED] = None
    update: Annotated[UpdateSpec | None, NOT_LEARNED] = None
    tune: Annotated[TuneSpec | None, NOT_LEARNED] = None
    published: Annotated[dict[Metric, float] | None, NOT_LEARNED] = None

    def at(self, index: int) -> Pipeline:
        """The pipeline with the training settings and strategy options of experience `index`."""
        return self.model_copy(update={"train": self.train.at(index), "strategy": self.strategy_at(index)})

    def strategy_at(self, index: int) -> list[StrategySpec]:
        """The strategies with the options that `train.per_experience` gives them in experience `index`."""
        overrides = self.train.strategy_options(index)
        return [StrategySpec(**{**spec.to_document(), **overrides.get(spec.name, {})}) for spec in self.strategy]

    def own_code(self) -> list[str]:
        """The names of its components that are not built in: what training them calls is somebody's own code."""
        named: list[tuple[Kind, str]] = [("datasets", self.stream.dataset.name), ("models", self.model.name)]
        named += [("objectives", self.objective.name), *(("strategies", spec.name) for spec in self.strategy)]
        scores = [name for name in (self.score or "", *(self.metrics or ())) if ":" in name]
        return [name for kind, name in named if not is_built_in(kind, name)] + scores

    def warnings(self) -> list[str]:
        """What a strategy of this pipeline cannot do in its setting, each with the remedy.

        Nothing is known of one that is not imported (`pipelines.config.components.without_own_code`).
        """
        from pipelines.config.components import NotImported, resolve
        from strategies.api import compatibility

        listed = []
        for spec in self.strategy:
            with suppress(NotImported):
                listed.append(compatibility.Listed(resolve("strategies", spec.name), spec.options, spec.name))
        found = zip(listed, compatibility.warnings(listed, self.stream.setting), strict=True)
        return [f"strategy.{one.name}: {text}" for one, texts in found for text in (*texts, *self._untrained(one.kind))]

    def _untrained(self, kind: type[Strategy]) -> list[str]:
        """That the model which a strategy freezes was never trained. Nothing is known of somebody's own model."""
        model = self.model
        own = not is_built_in("models", model.name) or takes_option("models", model.name, "pretrained")
        if not kind.adapts_model or own or model.weights is not None:
            return []
        return [
            f"it freezes the model, and {model.name} starts from random weights: set model.weights, or use a "
            "pretrained model ({name: transformers})"
        ]

    def to_document(self, *, masked: bool = False) -> dict[str, Any]:
        """Plain data that, written as YAML and read again, gives an equal pipeline.

        Args:
            masked: leave passwords out of the URIs, for showing; such a document does not give an equal pipeline.
        """
        hide = mask_value if masked else str
        document: dict[str, Any] = super().to_document()
        document["storage"] = escape(hide(self.storage))
        document["tracking"] = {key: escape(hide(value)) for key, value in document["tracking"].items()}
        if self.tune is not None:
            document["tune"]["space"] = {path: {where.kind: where.values} for path, where in self.tune.space.items()}
        return document

    def flat(self) -> dict[str, str | int | float | bool]:
        """The pipeline as dotted parameters, strategies by their names, lists as JSON, passwords left out.

        Without `cluster`, `gate`, `update` and `capabilities`: where a run was submitted, when, and how its model is
        judged are no parameters of the run, and may change until the run is finished.
        """
        document = self.to_document(masked=True)
        for key in ("cluster", "gate", "update", "capabilities"):
            document.pop(key, None)
        document["strategy"] = {
            entry["name"]: {key: value for key, value in entry.items() if key != "name"} or "default"
            for entry in document["strategy"]
        }
        flat: dict[str, str | int | float | bool] = {}
        _flatten(document, "", flat)
        return flat

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.tracking.experiment:
            # The model is frozen once it is constructed, and this is part of the construction.
            self.__dict__["tracking"] = self.tracking.model_copy(update={"experiment": self.name})
        from pipelines.config.named_scores import score_problems

        refuse(
            [
                *self._naming_problems(),
                *self._composition_problems(),
                *score_problems(self),
                *self._size_problems(),
                *self._online_problems(),
                *lane_problems(self.stream, self.strategy, self.scaling.maximum),
                *update_problems(self.update, self.stream, self.tune.space if self.tune else None),
            ]
        )
        return self

    def _naming_problems(self) -> list[tuple[KeyPath, str]]:
        problems: list[tuple[KeyPath, str]] = []
        names = [spec.name for spec in self.strategy]
        for index, name in enumerate(names):
            if name in names[:index]:
                problems.append((("strategy", index, "name"), f"'{name}' is listed twice"))
        scheme, separator, _ = self.storage.partition("://")
        if separator and scheme not in ("s3", "file", *registered_stores()):
            problems.append((("storage",), f"must be a folder or s3://bucket/prefix, not {scheme[:20]}://"))
        elif self.storage.startswith("s3://") and not self.storage[5:].split("/")[0]:
            problems.append((("storage",), "must name a bucket: s3://bucket/prefix"))
        for metric, value in (self.published or {}).items():
            found = find_metric(metric)
            if found is not None and found.is_fraction and not -1 <= value <= 1:
                problems.append((("published", metric), f"must be a fraction between -1 and 1, got {value:g}"))
        return problems

    def _composition_problems(self) -> list[tuple[KeyPath, str]]:
        from pipelines.config.components import resolve
        from strategies.api.compatibility import Listed, refusals, setting_refusal, shard_refusal

        try:
            listed = [Listed(resolve("strategies", spec.name), _valid(spec), spec.name) for spec in self.strategy]
            objective, options = resolve("objectives", self.objective.name), self.objective.declared_options
        except (PipelineError, ValidationError):
            return []  # said with its line where the options are checked
        changes_loss = getattr(options, "changes_loss", False)
        reasons = refusals(listed, objective.name, targets=objective.targets, changes_loss=changes_loss)
        wrong = capability_problems(self.capabilities, objective.name, objective.targets, self.gate)
        for one in listed if self.scaling.shard else ():
            refused = shard_refusal(one)
            wrong += [] if refused is None else [(("scaling", "shard"), refused)]
        setting = setting_refusal(objective, self.stream.setting)
        wrong += [] if setting is None else [(("stream", "setting"), setting)]
        if self.stream.source is not None and objective.targets != "classes":
            text = (
                f"files that arrive have classes as labels, which {objective.name} does not learn: name a folder under "
                "stream.dataset, or use objective: classification"
            )
            wrong.append((("stream", "source"), text))
        return [*wrong, *((("strategy",), reason) for reason in reasons)]

    def _online_problems(self) -> list[tuple[KeyPath, str]]:
        if not self.stream.online:
            return []
        once = "an online stream shows each sample once"
        problems: list[tuple[KeyPath, str]] = []
        own = {key: getattr(self.train, key) for key in ("epochs", "steps")}
        sections: list[tuple[KeyPath, dict[str, Any]]] = [((), own)]
        sections += [(("per_experience", str(index)), given) for index, given in self.train.per_experience.items()]
        for place, given in sections:
            if given.get("steps") is not None:
                problems.append((("train", *place, "steps"), f"{once}: leave it out, train.epochs is 1 then"))
            if given.get("epochs") not in (None, 1):
                problems.append((("train", *place, "epochs"), f"must be 1, got {given['epochs']}: {once}"))
        for position, spec in enumerate(self.strategy):
            problems += self._online_refusal(spec, ("strategy", position))
        for index in self.train.per_experience:
            changed = self.train.strategy_options(index)
            for spec in self.strategy_at(index):
                if spec.name in changed:
                    at = ("train", "per_experience", str(index), "strategy", spec.name)
                    problems += self._online_refusal(spec, at)
        return problems

    def _online_refusal(self, spec: StrategySpec, at: KeyPath) -> list[tuple[KeyPath, str]]:
        from pipelines.config.components import resolve
        from strategies.api.compatibility import Listed, online_refusal

        try:
            reason = online_refusal(Listed(resolve("strategies", spec.name), spec.options, spec.name))
        except (PipelineError, ValidationError):
            return []  # said with its line where the options are checked
        return [] if reason is None else [(at, reason)]

    def _size_problems(self) -> list[tuple[KeyPath, str]]:
        problems: list[tuple[KeyPath, str]] = []
        length, workers = self.stream.length, self.scaling.maximum
        if self.train.batch_size < workers:
            message = f"must be at least the number of workers, which is {workers}, got {self.train.batch_size}"
            problems.append((("train", "batch_size"), message))
        for index, override in self.train.per_experience.items():
            place: KeyPath = ("train", "per_experience", str(index))
            if length is not None and index >= length:
                last = length - 1
                problems.append((place, f"there is no such experience: the stream has {length}, numbered 0 to {last}"))
            size = override.get("batch_size")
            if isinstance(size, int) and size < workers:
                message = f"must be at least the number of workers, which is {workers}, got {size}"
                problems.append(((*place, "batch_size"), message))
        return problems


def _valid(spec: StrategySpec) -> BaseModel | None:
    """Its options; None where they are wrong, which is said with its line where they are checked."""
    try:
        return spec.options
    except Exception:
        return None


def _flatten(value: Any, path: str, flat: dict[str, str | int | float | bool]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _flatten(inner, f"{path}.{key}" if path else str(key), flat)
    elif isinstance(value, list):
        flat[path] = json.dumps(value)
    elif value is not None:
        flat[path] = value

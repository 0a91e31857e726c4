"""The contract of a strategy: its hooks, when they are called, and the capabilities that it declares.

The learner calls the hooks of all strategies at the same moments, in the order of the pipeline file:

    before_experience(learner, experience)
    samples = training_set(learner, experience)
    for each step:
        batch = extend_batch(learner, batch)
        output = model(batch.inputs)
        loss = training_loss(learner, batch, output), or else the objective's (cross entropy)
        loss += loss_term(learner, batch, output)
        backward, gradients averaged over the ranks
        after_backward(learner)
        clip, optimiser step
        after_step(learner)
        observe(learner, samples, positions)
    after_experience(learner, experience)

A strategy overrides what it needs; a hook that no strategy overrides costs nothing.

In an online stream (`Learner.online`) each sample is shown once, and nothing says where one experience ends and the
next begins: `before_experience` and `after_experience` are called only for strategies that ask for them
(`Strategy.needs_boundaries`). A strategy keeps data of such a stream in `observe`, batch by batch.

Beside its hooks a strategy declares, as plain class attributes, what it is and what it needs: its *capabilities*, of
which `Strategy` lists all. From these alone `strategies.api.compatibility` decides which strategies can be listed
together, and which warnings a setting gives; `everlearn list`, `everlearn recommend` and the reference show them.
A class that declares nothing can be listed with any other, as long as they do not both override one of
`training_set`, `training_loss`, `predict` and `restructure`. For example, a rehearsal method in a plug-in:

    class Mine(Strategy):
        rehearses = True
        keeps_samples = True

With it in the list there is no warning that another strategy alone forgets. Subclasses inherit declarations.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from strategies.api.guide import Guide, Limit
from strategies.api.influence import first_effect
from strategies.loop.process_group import Reduction

if TYPE_CHECKING:
    from strategies.api.data import Batch, Experience, Samples
    from strategies.loop.learner import Learner
    from strategies.memory.reservoir import Memory
    from strategies.objectives.objective import TargetKind


class StrategyOptions(BaseModel):
    """Options of a strategy in a pipeline file.

    Each field says by annotation what it influences (`strategies.api.influence`): `Annotated[float, LEARNED]`, or
    `Annotated[float, Influence(experience=1)]` for an option without any effect before experience 1, so that trials
    which differ only in it share experience 0. (In an online stream every option has an effect from the start.)
    `Influence(added="0.2")` marks an option that version 0.2 added: at its default it does not change the ids of
    commits. `Field(json_schema_extra={"fixed": True})` marks an option that holds for the whole stream, because state
    that is kept between experiences depends on it: `train.per_experience` may not change it. All other options are read
    anew in each experience.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    def first_effect(self, name: str) -> int:
        """The first experience in which the option called `name` has an effect, given all the others."""
        return first_effect(self, name)

    def fixed(self) -> dict[str, Any]:
        """The options, by name, that hold for the whole stream."""
        return {
            name: getattr(self, name)
            for name, field in type(self).model_fields.items()
            if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("fixed")
        }


class Strategy:
    """One method against forgetting. The defaults of all hooks do nothing.

    These attributes are the class's and can be read without an instance. From `rehearses` on they are capabilities,
    which decide what is refused and warned about; by default a strategy has none.

    Attributes:
        name: its name in pipeline files and in stored states; by default the class's name in lower case.
        family: bound, regularisation, rehearsal, architecture, ...
        summary: one line for `everlearn list`; by default the first line of the class's docstring.
        paper: the publication of the method.
        guide: its cost, and when to use it; None: not said.
        Options: its options.
        reductions: for each statistic it keeps, by the first part of its name in `state_dict`, how the ranks' values
            were combined into it.
        predicts_logits: whether the scores of its `predict` are logits, so that a softmax over them is a confidence.
        rehearses: its training steps use the past, as kept samples, generated samples, or all past data.
        keeps_samples: it keeps samples of the past (`memories`), which may be forbidden.
        generates_samples: it adds samples to the batches that belong to no experience.
        projects_gradients: it changes gradients so that the loss on the past does not rise.
        trains_other_loss: its `training_loss` is another loss than the cross entropy of the references that a strategy
            with `projects_gradients` takes.
        freezes_features: it changes the model's structure, and parts that were learned do not change again.
        adapts_model: before the first experience it freezes the model and puts parts into it that learn in its place,
            on which all other strategies work: its `before_experience` is called first.
        adds_parts: each experience adds parts to the model, and those of earlier ones never change.
        independent_parts: what an experience teaches is in its part `adapter.<number>` of `frozen_parts` alone, and
            without other strategies it is the same, to the bit, whatever the other experiences are.
        freezes_answers: predictions for earlier experiences never change, so that they need no other protection.
        works_on_past_answers: it acts on the predictions for earlier experiences, which must be free to change.
        starts_afresh: the model is untrained when an experience begins.
        trains_nothing: the model stays as it is: no other strategy has anything to do beside it.
        includes: classes of the strategies whose effect it already has.
        bound: "lower" or "upper" for a bound to compare with; empty for a method to use.
        needs_rehearsal_on_shared_head: alone it forgets where all classes share one head (class-incremental).
        needs_task_labels: it needs the task of a test sample, given or inferred.
        needs_old_data: it needs all data of the past.
        needs_fixed_structure: it needs the model's structure unchanged: its parameters, features or head, or a copy.
        needs_sample_origin: it must know which experience each sample of a batch comes from.
        learns_from_blocks: it needs neither `ids` nor `targets` of all samples of an experience, nor another training
            set, so that it learns from data larger than memory (see `strategies.api.data.BlockSamples`).
        learns_sharded: from the first step of an experience to the last its hooks see of the model only the output, and
            run it no further time, so that each rank may hold a part of each parameter (`scaling.shard`).
        objectives: names of the objectives that it is defined for; None: any.
        limits: what else it cannot do, by setting or "online", in words with the remedy (`Limit`). A limit for a
            setting replaces the one that follows there from `needs_rehearsal_on_shared_head` or `needs_task_labels`.
    """

    name: ClassVar[str] = "strategy"
    family: ClassVar[str] = "custom"
    summary: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    guide: ClassVar[Guide | None] = None
    Options: ClassVar[type[StrategyOptions]] = StrategyOptions
    reductions: ClassVar[Mapping[str, Reduction]] = {}
    predicts_logits: ClassVar[bool] = False

    rehearses: ClassVar[bool] = False
    keeps_samples: ClassVar[bool] = False
    generates_samples: ClassVar[bool] = False
    projects_gradients: ClassVar[bool] = False
    trains_other_loss: ClassVar[bool] = False
    freezes_features: ClassVar[bool] = False
    adapts_model: ClassVar[bool] = False
    adds_parts: ClassVar[bool] = False
    independent_parts: ClassVar[bool] = False
    freezes_answers: ClassVar[bool] = False
    works_on_past_answers: ClassVar[bool] = False
    starts_afresh: ClassVar[bool] = False
    trains_nothing: ClassVar[bool] = False
    includes: ClassVar[tuple[type[Strategy], ...]] = ()
    bound: ClassVar[Literal["", "lower", "upper"]] = ""

    needs_rehearsal_on_shared_head: ClassVar[bool] = False
    needs_task_labels: ClassVar[bool] = False
    needs_old_data: ClassVar[bool] = False
    needs_fixed_structure: ClassVar[bool] = False
    needs_sample_origin: ClassVar[bool] = False
    learns_from_blocks: ClassVar[bool] = False
    learns_sharded: ClassVar[bool] = False
    objectives: ClassVar[tuple[str, ...] | None] = None
    limits: ClassVar[Mapping[str, Limit]] = {}

    def __init__(self, options: Any = None) -> None:
        """
        Args:
            options: an instance of `Options`; the learner may replace it between experiences.
        """
        self.options = self.Options() if options is None else options

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if "name" not in cls.__dict__:
            cls.name = cls.__name__.lower()
        if "summary" not in cls.__dict__:
            cls.summary = (cls.__doc__ or "").strip().partition("\n")[0]

    @classmethod
    def variant(cls, options: Any) -> type[Strategy]:
        """The class that does the work with these options, where a form of the method declares other capabilities."""
        return cls

    @classmethod
    def problems(cls, options: Any, *, setting: str, others: Sequence[str]) -> list[str]:
        """What this strategy cannot do in such a pipeline, each with its remedy, in addition to its declarations.

        For limits that declarations cannot express, such as those that depend on several options together.

        Args:
            setting: class-incremental, task-incremental or domain-incremental.
            others: names of the other strategies of the pipeline, as they are written there.
        """
        return []

    @classmethod
    def objective_problem(cls, options: Any, targets: TargetKind) -> str | None:
        """Why it cannot learn targets of such a kind with these options, in addition to `objectives`, or None.

        Returns:
            Continues a sentence that begins with its name, with the remedy.
        """
        return None

    @classmethod
    def online_problem(cls, options: Any) -> str | None:
        """Why this strategy cannot learn an online stream with these options, with the remedy, or None.

        If a class overrides this method, only its result counts. Otherwise `limits` decides, and a class that overrides
        `training_set` is refused, because an online stream does not allow that.
        """
        return None

    @property
    def needs_boundaries(self) -> bool:
        """Whether its hooks at experience boundaries are called in an online stream too."""
        return True

    @classmethod
    def conflict(cls, other: type[Strategy]) -> str | None:
        """Why it cannot work with another strategy, with the remedy, or None, in addition to their declarations."""
        return None

    def before_experience(self, learner: Learner, experience: Experience) -> None:
        """Before the first step; may change the model's structure, equally on every rank (see `restructure`)."""

    def training_set(self, learner: Learner, experience: Experience) -> Samples | None:
        """The samples to train on instead of the experience's own, or None.

        Samples of several experiences have an attribute `experiences`, (n,) int64.
        """
        return None

    def extend_batch(self, learner: Learner, batch: Batch) -> Batch:
        """The batch with samples added, or weighted otherwise."""
        return batch

    def training_loss(self, learner: Learner, batch: Batch, output: Tensor) -> Tensor | None:
        """The loss instead of the objective's: this rank's part of a global sum (see `Batch.mean`), or None.

        Args:
            output: as in `loss_term`.
        """
        return None

    def loss_term(self, learner: Learner, batch: Batch, output: Tensor) -> Tensor | None:
        """A scalar to add to the loss: this rank's part of a global sum (see `Batch.mean`), or None.

        Args:
            output: (n, outputs) of the model on `batch.inputs`, before any task mask, with its graph. A rank without
                samples has run one placeholder sample: what a hook has kept of the forward pass has to be cut to
                len(batch).
        """
        return None

    def after_backward(self, learner: Learner) -> None:
        """Gradients are averaged over the ranks: add to them, project or mask them. Same on every rank."""

    def after_step(self, learner: Learner) -> None:
        """Called after the optimiser step."""

    def observe(self, learner: Learner, samples: Samples, positions: Tensor) -> None:
        """Called after each global batch; the same on every rank, so that all ranks can keep the same samples.

        Args:
            samples: what is trained on: `learner.samples` unless a strategy has chosen another training set.
            positions: (b,) int64: positions in `samples` of the global batch, without samples added by strategies.
        """

    def after_experience(self, learner: Learner, experience: Experience) -> None:
        """After the last step: estimate importances, fill memories, keep teachers.

        `learner.samples` are the experience's own training samples.
        """

    def predict(self, learner: Learner, inputs: Tensor, experience: Experience) -> Tensor | None:
        """Scores, (n, outputs), to classify `inputs` by instead of the model's output, or None."""
        return None

    def task_labels(self, experience: Experience) -> Literal["given", "inferred"] | None:
        """How its `predict` knows the task of test samples of an experience; None: it does not use it, or cannot."""
        return None

    def memories(self, learner: Learner) -> dict[str, Memory]:
        """Its memories by name: stored shard by shard, apart from `state_dict`, and filled by `Memory.restore`."""
        return {}

    def state_dict(self) -> dict[str, Tensor]:
        """Everything needed to resume exactly, memories excepted, as tensors by dotted names."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `state_dict` returned; the tensors are on the learner's device."""

    def restructure(self, model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
        """The model with the structure that a stored state needs, for a strategy that changes it while learning.

        Args:
            model: as it was built, or with the structure of a state stored before this one.
            state: what `Module.state_dict` of the wanted model returned, as it was stored: it may hold anything.

        Raises:
            ValueError: there is no such structure. Nothing larger than the state may be made for it.
        """
        return model

    def frozen_parts(self, model: nn.Module) -> Mapping[str, str | Collection[str]]:
        """Parts of the model that no later experience changes, by a short name.

        A part is what its tensors' names begin with, or the collection of their names.

        They are stored apart, so that the commits after this one share them.
        """
        return {}

"""The learning loop: the one place that runs forward, backward, mixed precision, accumulation, clipping and steps.

The moments at which strategies take part are listed in `strategies.api.strategy`. The batch is global: the number of
ranks never changes what is learned (within float tolerance).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from strategies.api.compatibility import Listed, learner_refusals
from strategies.api.data import Experience, Samples
from strategies.api.strategy import Strategy
from strategies.api.strategy_errors import StrategyError
from strategies.loop.active_classes import ActiveClasses
from strategies.loop.batch_loss import batch_loss
from strategies.loop.batch_statistics import is_too_few, single_sample, takes_one_value
from strategies.loop.batches import Batches
from strategies.loop.dense_gradients import dense_gradients, refuse_sparse_gradients
from strategies.loop.evaluation import Count, Evaluation, evaluate
from strategies.loop.freed_memory import keep_freed_memory
from strategies.loop.global_batch import share_of_batch
from strategies.loop.global_loss import GlobalLoss
from strategies.loop.hooks import overriding
from strategies.loop.input_scaling import input_dtype, prepared
from strategies.loop.kept_optimizer import KeptOptimizer
from strategies.loop.nan_guard import FiniteLoss
from strategies.loop.order_of_samples import sample_order
from strategies.loop.process_group import Group
from strategies.loop.rank_agreement import check_buffers
from strategies.loop.seeded_random import integer, seed_forward
from strategies.loop.step_report import Listener, StepReport
from strategies.loop.train_settings import TrainSettings, make_scheduler
from strategies.memory.reservoir import Memory
from strategies.metrics.score import Score
from strategies.networks.frozen_parts import join_model, split_model
from strategies.objectives.classification import Classification
from strategies.objectives.objective import Objective


class Learner:
    """A model that learns one experience after another under a list of strategies.

    Attributes:
        model: the model; outputs (n, outputs).
        strategies: in the order of the pipeline file.
        outputs: units of the model's head.
        seed: of the run.
        group: the ranks that learn together.
        online: each sample is shown once, and hooks at experience boundaries are called only for strategies that ask
            for them (`Strategy.needs_boundaries`).
        objective: what is right: losses and likelihoods; by default classification.
        recorded: scores that evaluation computes for each test set, beside the accuracy.
        device: where the model lives.
        past: experiences before the current one that were given to `learn`.
        samples: the current experience's own training samples, while it is learned.
        experience, settings: the current experience, and how it is trained.
        step, length: the current optimiser step of the experience, and how many it has.
    """

    samples: Samples
    experience: Experience
    settings: TrainSettings

    def __init__(
        self,
        model: nn.Module,
        strategies: Sequence[Strategy],
        *,
        outputs: int,
        seed: int = 0,
        group: Group | None = None,
        online: bool = False,
        device: torch.device | str = "cpu",
        channels_last: bool = False,
        objective: Objective | None = None,
        recorded: Sequence[Score] = (),
    ) -> None:
        """
        Args:
            channels_last: lay images out in memory with their channels next to each other, which convolutions may
                take faster. Code that reads parameters sees their usual layout.

        Raises:
            StrategyError: strategies that cannot work together, with the objective, or in an online stream.
        """
        self.objective = objective or Classification()
        self.recorded = [one for one in recorded if one.name != "accuracy"]
        listed = [Listed(type(s), s.options) for s in strategies]
        refused = learner_refusals(listed, self.objective, outputs, online=online)
        if refused:
            raise StrategyError("\n".join(refused))
        keep_freed_memory()
        self.device, self.channels_last = torch.device(device), channels_last
        self.model = model.to(self.device)
        self._dtype = input_dtype(model)
        dense_gradients(model)
        self.strategies = list(strategies)
        self.outputs, self.seed, self.online = outputs, seed, online
        self.group = group or Group.current()
        self.past: Sequence[Experience] = ()
        self.step = self.length = 0
        self._active = ActiveClasses(outputs, self.device)
        self._optimizer = KeptOptimizer()
        self._evaluated: nn.Module | None = None

    # ---------------------------------------------------------------- learning

    def learn(
        self,
        experience: Experience,
        settings: TrainSettings,
        *,
        past: Sequence[Experience] = (),
        listener: Listener | None = None,
    ) -> None:
        """Train on one experience, then let the strategies consolidate it.

        Args:
            past: the experiences before it; what they hold is loaded only by strategies that ask for it.
            listener: called after every step with a `StepReport`.

        Raises:
            NonFiniteLoss: the loss became NaN or infinite.
            StrategyError: strategies that cannot work together, or with this experience.
        """
        for _ in self.steps(experience, settings, past=past, listener=listener):
            pass
        self.consolidate()

    def steps(
        self,
        experience: Experience,
        settings: TrainSettings,
        *,
        past: Sequence[Experience] = (),
        listener: Listener | None = None,
        start: int = 0,
    ) -> Iterator[int]:
        """The steps of one experience, as an iterator over the number of steps done; `consolidate` must follow.

        Args:
            start: resume after this number of steps, from the state that `state_dict` returned there.

        Raises:
            StrategyError: an online stream that would be passed more or less than once.
        """
        if self.online and (settings.epochs, settings.steps) != (1, None):
            raise StrategyError("an online stream shows each sample once: train.epochs must be 1, and steps left out")
        self.experience, self.past, self.samples, self.settings = experience, past, experience.train, settings
        self._active.remember([*past, experience])
        self.memories()  # the strategies get the options that the experience has for them
        self.model.train()
        if start == 0:
            for strategy in sorted(self._told(), key=lambda strategy: not strategy.adapts_model):
                strategy.before_experience(self, experience)
            self.model.train()  # the hooks may have replaced the model
        samples = self._training_set(experience)
        self.objective.begin_samples(samples, self.outputs)
        order = sample_order(samples, settings, self.seed, experience.index)
        self.length = len(order)
        optimizer = self._optimizer.prepare(self._trained(), settings, keep=start > 0 or not settings.reset)
        scheduler = make_scheduler(settings, optimizer, len(order), start)
        loss_of = partial(batch_loss, self, precision=settings.precision)
        gradients = GlobalLoss(self.model, loss_of, self.group, lambda: self.example(samples), settings.accumulate)
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        extend = overriding(self.strategies, "extend_batch")
        layer = takes_one_value(self.model, self.example(samples)[:1]) if not extend and order.smallest == 1 else None
        if layer is not None:
            raise single_sample(experience.index, len(samples), layer)
        after_backward, after_step = (overriding(self.strategies, hook) for hook in ("after_backward", "after_step"))
        observers = overriding(self.strategies, "observe")
        sanction = FiniteLoss(experience.index, self.device)
        forward_seed = integer(self.seed, "forward", experience.index)

        read = Batches(self.strategies, samples, order, self.group, start)
        for step, taken in enumerate(read, start):
            self.step = step
            seed_forward((forward_seed + step * self.group.size + self.group.rank) % 2**63, self.device)
            batch = share_of_batch(self, samples, order, step, taken, placed=gradients.whole_parts)
            for extend_batch in extend:
                batch = extend_batch(self, batch)
            optimizer.zero_grad(set_to_none=True)
            try:
                loss = gradients.backward(batch)
            except ValueError as error:
                if is_too_few(error):
                    raise single_sample(experience.index, len(samples)) from error
                raise
            if step == start:
                refuse_sparse_gradients(self.model)
            sanction.check(loss, step, parameters if self.group.size > 1 else ())
            for hook in after_backward:
                hook(self)
            if settings.clip is not None:
                torch.nn.utils.clip_grad_norm_(parameters, settings.clip)
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
            if step == start and self.group.size > 1:
                check_buffers(self.model, self.group)
            for hook in after_step:
                hook(self)
            for observe in observers:
                observe(self, *read.passed(step, taken))
            if listener is not None:
                listener(StepReport(step + 1, len(order), batch.total_samples, loss))
            yield step + 1
        sanction.settle()

    def consolidate(self) -> None:
        """After the last step: the strategies' `after_experience`."""
        self.model.eval()
        for strategy in self._told():
            strategy.after_experience(self, self.experience)
        del self.samples

    def _told(self) -> list[Strategy]:
        """The strategies whose hooks at experience boundaries are called."""
        return [s for s in self.strategies if not self.online or s.needs_boundaries]

    def _training_set(self, experience: Experience) -> Samples:
        replaced = (training_set(self, experience) for training_set in overriding(self.strategies, "training_set"))
        return next((samples for samples in replaced if samples is not None), self.samples)

    def _trained(self) -> nn.Module:
        """The model as the steps of an experience train it."""
        return self.model

    def moved(self, tensor: Tensor) -> Tensor:
        """The tensor on the device; a copy to a GPU is from pinned memory, so that it overlaps with the computation."""
        if self.device.type == "cuda" and not tensor.is_cuda:
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=True)

    # ---------------------------------------------------------------- what strategies use

    def prepare(self, inputs: Tensor) -> Tensor:
        """Stored inputs as the model takes them, on the device (see `prepared`)."""
        ready = prepared(self.moved(inputs), self._dtype)
        images = self.channels_last and ready.dim() == 4
        return ready.contiguous(memory_format=torch.channels_last) if images else ready

    def example(self, samples: Samples | None = None) -> Tensor:
        """Up to two prepared inputs of the experience, or of `samples`: the same on every rank."""
        samples = self.samples if samples is None else samples
        return self.prepare(samples.take(torch.arange(min(2, len(samples))))[0])

    def masked(self, output: Tensor, experiences: Tensor) -> Tensor:
        """(n, outputs): `output` with the units that are not active for a sample's task, (n,) int64, at -inf."""
        return self._active.masked(output, experiences)

    def active(self, experiences: Tensor) -> Tensor | None:
        """(n, outputs) bool: the active classes for each sample's task, (n,) int64; None where all are."""
        return self._active.of(experiences)

    def units(self, experience: Experience) -> Tensor:
        """The output units that are active in an experience, ascending int64."""
        return self._active.units(experience)

    @property
    def keeps_gradients(self) -> bool:
        """Whether the optimiser's step leaves the gradients as they were."""
        return self._optimizer.keeps_gradients

    def reset_optimizer(self) -> None:
        """Start the experience with a fresh optimiser state: for `Strategy.before_experience`."""
        self._optimizer.reset()

    def memories(self) -> dict[str, Memory]:
        """The memories of all strategies by name."""
        return {name: memory for s in self.strategies for name, memory in s.memories(self).items()}

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """The model in evaluation mode, for the time of the block; a block within another one costs nothing."""
        if self._evaluated is self.model:
            yield
            return
        training, self._evaluated = self.model.training, self.model
        self.model.eval()
        try:
            yield
        finally:
            self._evaluated = None
            self.model.train(training)

    # ---------------------------------------------------------------- evaluation

    def evaluate(self, experiences: Sequence[Experience]) -> list[Count]:
        """Counts and scores of each experience's test set: one pass, shared by the ranks, and exact."""
        return self.assess(experiences).counts

    def assess(self, experiences: Sequence[Experience], seen: int = 0) -> Evaluation:
        """`evaluate`, with all results of the pass for the experiences before `seen` (`loop.evaluation`)."""
        return evaluate(self, experiences, seen)

    def task_labels(self, experience: Experience) -> Literal["given", "inferred"] | None:
        """How the strategies know the task of an experience's test samples; None: no strategy uses the task."""
        said = (strategy.task_labels(experience) for strategy in self.strategies)
        return next((labels for labels in said if labels is not None), None)

    def scores(self, inputs: Tensor, experience: Experience) -> Tensor:
        """(n, outputs) to classify prepared `inputs` by: a strategy's `predict`, else the model's output."""
        for strategy in self.strategies:
            scores = strategy.predict(self, inputs, experience)
            if scores is not None:
                return scores
        return self.output(inputs)

    def output(self, inputs: Tensor) -> Tensor:
        """The model's output, (n, outputs), on prepared inputs; a model may have squeezed a batch of one."""
        output: Tensor = self.model(inputs)
        return output if output.dim() > 1 else output.view(len(inputs), -1)

    # ---------------------------------------------------------------- state

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """All state but the memories, as named groups of tensors.

        `model`, `model.<part>` for each of the strategies' `frozen_parts`, `optimizer`, `strategy.<name>`, `objective`;
        the last two only where they keep something.
        """
        frozen = {part: prefix for s in self.strategies for part, prefix in s.frozen_parts(self.model).items()}
        state = split_model(self.model.state_dict(), frozen) | {"optimizer": self._optimizer.state(self.model)}
        kept = {f"strategy.{strategy.name}": strategy.state_dict() for strategy in self.strategies}
        kept["objective"] = self.objective.state_dict()
        return state | {name: tensors for name, tensors in kept.items() if tensors}

    def load_state_dict(self, state: Mapping[str, Mapping[str, Tensor]], *, optimizer: str = "") -> None:
        """Take over what `state_dict` returned.

        Args:
            optimizer: name of the optimiser that the state belongs to; without it, the optimiser starts afresh.
        """
        for strategy in self.strategies:
            tensors = state.get(f"strategy.{strategy.name}", {})
            strategy.load_state_dict({name: tensor.to(self.device) for name, tensor in tensors.items()})
        self.objective.load_state_dict(state.get("objective", {}))
        model = join_model(state)
        for restructure in overriding(self.strategies, "restructure"):
            self.model = restructure(self.model, model).to(self.device)
        self.model.load_state_dict(model)
        self._optimizer.load(state.get("optimizer", {}), optimizer)

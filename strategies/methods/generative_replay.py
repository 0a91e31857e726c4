"""Deep Generative Replay."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from strategies.api.allocation_failure import is_allocation_failure
from strategies.api.data import Batch, Experience
from strategies.api.guide import Guide
from strategies.api.influence import LEARNED, Influence
from strategies.api.strategy import Strategy, StrategyOptions
from strategies.api.strategy_errors import StrategyError
from strategies.distillation.teacher import Teacher
from strategies.loop.learner import Learner
from strategies.loop.process_group import Reduction
from strategies.loop.seeded_random import normal
from strategies.memory.replay_weights import Weighting, joined_weights
from strategies.networks.side_network import SideNetwork
from strategies.networks.vae import VAE, Likelihood, generate
from strategies.objectives.objective import TargetKind

LOOKED_AT = 1000


class GenerativeReplayOptions(StrategyOptions):
    """Options of `generative-replay`."""

    ratio: Annotated[float, Influence(experience=1)] = Field(
        default=0.5,
        gt=0,
        lt=1,
        description=(
            "Share of generated samples in each global batch: batch_size * ratio / (1 - ratio) generated samples are "
            "added to batch_size current ones."
        ),
    )
    weighting: Annotated[Weighting, Influence(experience=1)] = Field(
        default="experiences",
        description=(
            "samples: every sample of the batch counts the same. experiences: after k experiences, the current one "
            "included, the current samples count 1/k and the generated ones 1 - 1/k, for the model and the generator."
        ),
    )
    hidden: Annotated[tuple[Annotated[int, Field(ge=1)], ...], LEARNED] = Field(
        default=(400, 400),
        json_schema_extra={"fixed": True},
        description="Units of each hidden layer of the generator's encoder; its decoder has them in reverse order.",
    )
    latent: Annotated[int, LEARNED] = Field(
        default=100, ge=1, json_schema_extra={"fixed": True}, description="Latent units of the generator."
    )
    lr: Annotated[float, LEARNED] = Field(default=1e-3, gt=0, description="Learning rate of the generator's Adam.")
    likelihood: Annotated[Likelihood, LEARNED] = Field(
        default="bernoulli",
        json_schema_extra={"fixed": True},
        description="bernoulli: inputs in [0, 1], such as images. gaussian, of variance 1: any numbers.",
    )


class GenerativeReplay(Strategy):
    """DGR: Shin et al. 2017, Continual learning with deep generative replay; as by van de Ven et al. 2022, with a VAE.

    A generator (`networks.vae`) is trained beside the model, at every step. While an experience is learned, copies of
    the generator and the model from before it make samples of the past: the generator makes inputs, and the model
    labels them with what it answers (its most probable class, the numbers that it predicts, or the labels that are more
    probable than not). Model and generator both learn from these samples and the current ones
    (equation 1, with 1/k for the importance r of the new task after k experiences).
    On one shared head a label may be any unit, also a unit of a class that no experience has had yet: it is the
    prediction of the previous model.

    In a task-incremental stream each generated sample gets the task of one of the past experiences in turn, by its
    place in the batch, and the label that is most probable among that task's units. (van de Ven et al. give every
    sample a label for each old task and average the losses, which has the same expectation.)

    No data is kept. A step costs the passes of the model with a batch that is 1 / (1 - ratio) times as large, a forward
    pass of the previous model, and a training step of the generator.
    """

    name = "generative-replay"
    family = "rehearsal"
    summary = "Rehearse samples of a generator (a VAE), labelled by the previous model (no data kept)"
    paper = "Shin et al. 2017, Continual learning with deep generative replay; van de Ven et al. 2022"
    guide = Guide(
        time="a generator is trained beside the model, and its samples are replayed",
        memory="the generator and the previous model, no samples",
        use_when="no data may be kept, all classes share one head, and inputs are simple enough to be generated",
    )
    rehearses = True
    generates_samples = True
    learns_from_blocks = True
    needs_fixed_structure = True
    Options = GenerativeReplayOptions
    reductions: ClassVar[Mapping[str, Reduction]] = {
        "vae": Reduction.GLOBAL,
        "adam": Reduction.GLOBAL,
        "decoder": Reduction.GLOBAL,
        "teacher": Reduction.GLOBAL,
    }

    options: GenerativeReplayOptions

    @classmethod
    def objective_problem(cls, options: Any, targets: TargetKind) -> str | None:
        return "generates images and numbers, not tokens: use {name: replay}" if targets == "tokens" else None

    def __init__(self, options: GenerativeReplayOptions | None = None) -> None:
        super().__init__(options)
        self.generator: SideNetwork[VAE] = SideNetwork()
        self.teacher = Teacher()  # the model before the experience; none in the first experience
        self._decoder: nn.Module | None = None  # the generator's decoder before the experience
        self._decoder_state: dict[str, Tensor] = {}

    def before_experience(self, learner: Learner, experience: Experience) -> None:
        inputs = learner.prepare(learner.samples.take(torch.arange(min(LOOKED_AT, len(learner.samples))))[0])
        self._check(experience, inputs)
        if self.generator:
            self._decoder = copy.deepcopy(self._vae(learner, inputs).decoder).requires_grad_(False)
            self.teacher.take(learner.model)

    def _check(self, experience: Experience, inputs: Tensor) -> None:
        """Refuse what the generator cannot learn to generate; the same on every rank."""
        if not inputs.is_floating_point():
            raise StrategyError(
                "generative-replay generates numbers, not the integers that this model takes: "
                "use {name: replay} or {name: lwf}"
            )
        low, high = (float(limit) for limit in inputs.aminmax())
        if self.options.likelihood == "bernoulli" and not 0 <= low <= high <= 1:
            raise StrategyError(
                f"generative-replay generates inputs in [0, 1], those of experience {experience.index} reach from "
                f"{low:.3g} to {high:.3g}: scale them, or set likelihood: gaussian"
            )

    def extend_batch(self, learner: Learner, batch: Batch) -> Batch:
        """Add this rank's share of the generated samples, and train the generator."""
        vae = self._vae(learner, batch.inputs)
        current = batch.inputs[: batch.current]
        if not self.teacher:
            self._train(learner, vae, [(current, batch.total_current, 1.0)], batch.share)
            return batch
        ratio, seen = self.options.ratio, learner.experience.index + 1
        added = max(1, round(batch.total_samples * ratio / (1 - ratio)))
        inputs, targets, experiences = self._remembered(learner, vae, batch, added)
        weights, total = joined_weights(batch, len(inputs), added, seen, self.options.weighting)
        by_samples = self.options.weighting == "samples"
        part = batch.total_current / (batch.total_current + added) if by_samples else 1 / seen
        self._train(learner, vae, [(current, batch.total_current, part), (inputs, added, 1 - part)], batch.share)
        return batch.joined(inputs, targets, experiences, added=added, weights=weights, total_weight=total)

    @torch.no_grad()
    def _remembered(self, learner: Learner, vae: VAE, batch: Batch, added: int) -> tuple[Tensor, Tensor, Tensor]:
        """This rank's share of `added` generated samples: inputs, labels, and the experiences that they represent."""
        if self._decoder is None:
            self._decoder = copy.deepcopy(vae.decoder).requires_grad_(False)
            self._decoder.load_state_dict(self._decoder_state)
            self._decoder_state = {}
        share = learner.group.share(added)
        noise = self._normal(learner, "vae-sample", added, share, next(vae.parameters()))
        inputs = generate(self._decoder, noise, batch.inputs.shape[1:], self.options.likelihood).to(batch.inputs)
        experiences = torch.arange(added, device=learner.device)[share] % learner.experience.index
        targets = learner.objective.answers(learner.masked(self.teacher(learner, inputs), experiences))
        return inputs, targets.to(batch.targets.dtype).view(len(inputs), *batch.targets.shape[1:]), experiences

    def _train(self, learner: Learner, vae: VAE, parts: list[tuple[Tensor, int, float]], first: slice | None) -> None:
        """A step of the generator.

        Args:
            parts: inputs of this rank, their number over all ranks, and the weight of their mean.
            first: which samples of the first part this rank has; of others, and where it is None, its `Group.share`.
        """
        like = next(vae.parameters())
        total = sum(n for _, n, _ in parts)
        places, before = [], 0
        for number, (_, n, _) in enumerate(parts):
            share = first if first is not None and number == 0 else learner.group.share(n)
            places.append(torch.arange(before + share.start, before + share.stop))
            before += n
        noise = self._normal(learner, "vae", total, torch.cat(places), like)
        weights = torch.cat([like.new_full((len(inputs),), weight / n) for inputs, n, weight in parts])
        inputs = torch.cat([inputs.flatten(1) for inputs, _, _ in parts]).to(like)
        self.generator.add_gradients((vae(inputs, noise) * weights).sum())
        self.generator.step(learner, self.options.lr)

    def _normal(self, learner: Learner, purpose: str, rows: int, wanted: slice | Tensor, like: Tensor) -> Tensor:
        """The requested rows of standard normal numbers for the latent units, which depend on the step alone."""
        numbers = normal(rows, self.options.latent, learner.seed, purpose, learner.experience.index, learner.step)
        return numbers[wanted].to(like)

    def _vae(self, learner: Learner, inputs: Tensor) -> VAE:
        options, values = self.options, inputs.shape[1:].numel()
        made = (options.hidden, options.latent, options.likelihood)
        try:
            vae = self.generator.get(learner, lambda: VAE(values, *made), "vae-weights")
        except RuntimeError as error:  # the stored state has other shapes
            if is_allocation_failure(error):
                raise
            vae = None
        if vae is None or (vae.hidden, vae.latent, vae.likelihood) != made:
            raise StrategyError(
                "generative-replay: hidden, latent and likelihood cannot change after the first experience: "
                "leave them out of train.per_experience"
            )
        return vae

    def after_experience(self, learner: Learner, experience: Experience) -> None:
        """Keep the generator, and drop its copy from before the experience."""
        if not all(bool(tensor.isfinite().all()) for tensor in self.generator.state_dict("vae").values()):
            raise StrategyError(
                f"generative-replay: the generator diverged in experience {experience.index}: set a lower lr"
            )
        self.teacher = Teacher()
        self._decoder, self._decoder_state = None, {}

    def state_dict(self) -> dict[str, Tensor]:
        decoder = self._decoder_state if self._decoder is None else self._decoder.state_dict()
        return {
            **self.generator.state_dict("vae"),
            **{f"decoder.{name}": tensor for name, tensor in decoder.items()},
            **self.teacher.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.generator.load_state_dict("vae", state)
        self.teacher.load_state_dict(state)
        self._decoder = None
        self._decoder_state = {n.removeprefix("decoder."): t for n, t in state.items() if n.startswith("decoder.")}

"""Streaming linear discriminant analysis, and the nearest class mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from strategies.api.data import Batch, Experience
from strategies.api.guide import Guide
from strategies.api.influence import LEARNED
from strategies.api.strategy import Strategy, StrategyOptions
from strategies.loop.learner import Learner
from strategies.loop.process_group import Reduction
from strategies.networks.feature_sums import feature_sums
from strategies.networks.penultimate_features import entering_head

_USE = "slda classifies by"


class SLDAOptions(StrategyOptions):
    """Options of `slda`."""

    covariance: Annotated[Literal["shared", "identity"], LEARNED] = Field(
        default="shared",
        description="shared: one covariance of all classes is estimated. identity: the nearest class mean classifies.",
    )
    shrinkage: Annotated[float, LEARNED] = Field(
        default=1e-4,
        gt=0,
        le=1,
        description="Weight of the identity in (1 - shrinkage) * covariance + shrinkage * identity, which is inverted.",
    )


class SLDA(Strategy):
    """Deep SLDA: Hayes & Kanan 2020, Lifelong machine learning with deep streaming linear discriminant analysis.

    For a model with frozen, pretrained features (such as `transformers` with `frozen: true`). Nothing is trained by
    gradients: each class keeps the mean of its features, and all together a covariance S (section 3). A sample with
    features z belongs to the class with the largest w . z + b, where w = S^-1 mu and b = -(mu . w) / 2.

    The means and the covariance come from sums over all samples so far, in any order: nothing is forgotten, and the
    result equals that on all data at once. Memory grows with the square of the number of features, and not with the
    number of samples. With `covariance: identity` the nearest class mean classifies.
    """

    name = "slda"
    family = "frozen features"
    summary = "Class means and one covariance of frozen features: nothing is trained, nothing forgotten"
    paper = "Hayes & Kanan 2020, Lifelong machine learning with deep streaming linear discriminant analysis"
    guide = Guide(
        time="one forward pass for each sample",
        memory="a mean for each class, and a covariance",
        use_when="the model's pretrained features already separate the classes: the cheapest strong baseline",
    )
    Options = SLDAOptions
    objectives = ("classification",)
    predicts_logits: ClassVar[bool] = True
    trains_nothing = True
    learns_from_blocks = True
    reductions: ClassVar[Mapping[str, Reduction]] = {
        "sums": Reduction.GLOBAL,
        "counts": Reduction.GLOBAL,
        "products": Reduction.GLOBAL,
    }

    options: SLDAOptions

    def __init__(self, options: SLDAOptions | None = None) -> None:
        super().__init__(options)
        # Over all samples so far: features of each class, (outputs, d); samples of each, (outputs,); products, (d, d).
        self._sums: dict[str, Tensor] = {}
        self._weights: tuple[Tensor, Tensor] | None = None

    def training_loss(self, learner: Learner, batch: Batch, output: Tensor) -> Tensor | None:
        """0: nothing is trained."""
        return output.sum() * 0

    def after_backward(self, learner: Learner) -> None:
        """No gradients: the optimiser changes nothing, whatever its weight decay."""
        for p in learner.model.parameters():
            p.grad = None

    def after_experience(self, learner: Learner, experience: Experience) -> None:
        """Add the experience's features to the sums."""
        own = feature_sums(learner, lambda inputs: entering_head(learner.model, inputs, _USE))
        self._sums = {name: value + self._sums.get(name, 0) for name, value in own.items()}
        self._weights = None

    def predict(self, learner: Learner, inputs: Tensor, experience: Experience) -> Tensor | None:
        """w . z + b for each class that has samples, -inf for others."""
        if not self._sums:
            return None
        if self._weights is None:
            self._weights = self.weights()
        w, b = self._weights
        z = entering_head(learner.model, inputs, _USE).double()
        return (z @ w.T + b).float()

    def weights(self) -> tuple[Tensor, Tensor]:
        """w, (outputs, d), and b, (outputs,), float64: of the classes so far, -inf in b for the others."""
        counts, total = self._sums["counts"], self._sums["counts"].sum()
        means = self._sums["sums"] / counts.clamp(min=1)[:, None]
        if self.options.covariance == "identity":
            w = means
        else:
            within = self._sums["products"] - means.T @ (means * counts[:, None])
            identity = torch.eye(means.shape[1], dtype=means.dtype, device=means.device)
            shrunk = (1 - self.options.shrinkage) * within / total + self.options.shrinkage * identity
            w = torch.linalg.solve(shrunk, means.T).T
        b = -(means * w).sum(1) / 2
        return w, b.masked_fill(counts == 0, -torch.inf)

    def state_dict(self) -> dict[str, Tensor]:
        return dict(self._sums)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self._sums, self._weights = dict(state), None

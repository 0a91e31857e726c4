"""A variational autoencoder: learns to generate inputs like those it has seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strategies.networks.side_network import perceptron

Likelihood = Literal["bernoulli", "gaussian"]


class VAE(nn.Module):
    """Kingma & Welling 2014, Auto-encoding variational Bayes: a symmetric multilayer perceptron.

    The encoder gives mean and logarithm of the variance of each latent unit, the prior is the standard normal
    distribution, and the decoder gives the mean of each input value.

    Attributes:
        encoder: (n, values) to (n, 2 * latent): the means, then the logarithms of the variances.
        decoder: (n, latent) to (n, values), before the sigmoid of a Bernoulli distribution.
    """

    def __init__(self, values: int, hidden: Sequence[int], latent: int, likelihood: Likelihood = "bernoulli") -> None:
        """
        Args:
            values: numbers in one input.
            hidden: units of the encoder's hidden layers; the decoder has them in reverse.
            latent: latent units.
            likelihood: of an input value given its mean. `bernoulli`: for values in [0, 1], as in the paper's
                appendix C.1. `gaussian`: of variance 1, for any values.
        """
        super().__init__()
        self.hidden = tuple(hidden)
        self.latent = latent
        self.likelihood = likelihood
        self.encoder = perceptron([values, *hidden, 2 * latent])
        self.decoder = perceptron([latent, *reversed(hidden), values])

    def forward(self, inputs: Tensor, noise: Tensor) -> Tensor:
        """The negative evidence lower bound of each input, in nats, up to a constant, (n,).

        Equation 10 of the paper with one sample of the latent units: what the likelihood says about the input
        (`- log p(x | z)`), and the divergence of the encoder's distribution from the prior, in closed form.

        Args:
            inputs: (n, *shape).
            noise: (n, latent), standard normal.
        """
        flat = inputs.flatten(1)
        mean, log_variance = self.encoder(flat).chunk(2, dim=1)
        deviation = (log_variance / 2).exp()
        decoded = self.decoder(torch.addcmul(mean, deviation, noise))
        if self.likelihood == "bernoulli":
            surprise = F.binary_cross_entropy_with_logits(decoded, flat, reduction="none").sum(1)
        else:
            surprise = (decoded - flat).square().sum(1) / 2
        divergence = (mean.square() + deviation.square() - log_variance - 1).sum(1) / 2
        result: Tensor = surprise + divergence
        return result


def generate(decoder: nn.Module, noise: Tensor, shape: Sequence[int], likelihood: Likelihood) -> Tensor:
    """Inputs from a decoder: the mean that it gives for latent units drawn from the prior, (n, *shape).

    Args:
        noise: (n, latent), standard normal.
    """
    decoded: Tensor = decoder(noise)
    means = decoded.sigmoid() if likelihood == "bernoulli" else decoded
    return means.view(len(noise), *shape)

"""The variational autoencoder against torch.distributions, and what it generates."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from strategies.networks.vae import VAE, Likelihood, generate


def made(likelihood: Likelihood = "bernoulli") -> VAE:
    torch.manual_seed(0)
    return VAE(6, (5, 4), 3, likelihood).double()


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_the_loss_is_the_negative_evidence_lower_bound(likelihood: Likelihood) -> None:
    vae, inputs, noise = made(likelihood), torch.rand(7, 2, 3).double(), torch.randn(7, 3).double()
    for number, (x, eps) in enumerate(zip(inputs, noise, strict=True)):
        mean, log_variance = vae.encoder(x.flatten()).split(3)
        posterior = Normal(mean, log_variance.exp().sqrt())
        decoded = vae.decoder(posterior.mean + posterior.stddev * eps)
        if likelihood == "bernoulli":
            log_p = Bernoulli(logits=decoded, validate_args=False).log_prob(x.flatten()).sum()
        else:  # but for the constant of the normal distribution
            log_p = (Normal(decoded, 1.0).log_prob(x.flatten()) - Normal(0.0, 1.0).log_prob(torch.zeros(6))).sum()
        divergence = kl_divergence(posterior, Normal(0.0, 1.0)).sum()
        torch.testing.assert_close(vae(inputs, noise)[number], divergence - log_p)


def test_the_decoder_mirrors_the_encoder() -> None:
    vae = made()
    assert [tuple(p.shape) for p in vae.encoder.parameters() if p.dim() == 2] == [(5, 6), (4, 5), (6, 4)]
    assert [tuple(p.shape) for p in vae.decoder.parameters() if p.dim() == 2] == [(4, 3), (5, 4), (6, 5)]


def test_what_it_generates_is_like_what_it_saw() -> None:
    torch.manual_seed(0)
    patterns = torch.tensor([[0.9, 0.9, 0.9, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.9, 0.9, 0.9]])
    vae = VAE(6, (16,), 2)
    optimizer = torch.optim.Adam(vae.parameters(), lr=0.01)
    for _ in range(300):
        optimizer.zero_grad()
        vae(patterns.repeat(8, 1), torch.randn(16, 2)).mean().backward()
        optimizer.step()
    samples = generate(vae.decoder, torch.randn(200, 2), (2, 3), "bernoulli").detach()
    assert samples.shape == (200, 2, 3)
    assert 0 <= samples.min() <= samples.max() <= 1
    distance = torch.cdist(samples.flatten(1), patterns)
    assert (distance.min(1).values < 0.5).float().mean() > 0.7
    assert distance.argmin(1).unique(return_counts=True)[1].min() > 40, "both patterns are generated"

"""Projections against the constraints they must keep and against a brute-force search of the active constraints."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from strategies.projection.gradient_projection import project, project_off


def vectors(seed: int, k: int, p: int = 9) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(p, generator=generator, dtype=torch.float64), torch.randn(
        k, p, generator=generator, dtype=torch.float64
    )


def brute_force(gradient: Tensor, references: Tensor) -> Tensor:
    """The closest feasible vector among the projections onto every set of active constraints."""
    best, distance = None, float("inf")
    for size in range(len(references) + 1):
        for active in itertools.combinations(range(len(references)), size):
            rows = references[list(active)]
            candidate = gradient - rows.T @ (torch.linalg.pinv(rows.T) @ gradient) if size else gradient
            if bool((references @ candidate >= -1e-9).all()) and (candidate - gradient).norm() < distance:
                best, distance = candidate, float((candidate - gradient).norm())
    assert best is not None
    return best


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("k", [1, 2, 4])
def test_gem_takes_the_closest_vector_that_hurts_nothing(seed: int, k: int) -> None:
    gradient, references = vectors(seed, k)
    found = project(gradient, references)
    assert bool((references @ found >= -1e-9).all())
    torch.testing.assert_close(found, brute_force(gradient, references), rtol=1e-7, atol=1e-9)


def test_gem_leaves_a_gradient_alone_that_hurts_nothing() -> None:
    gradient, references = vectors(0, 3)
    harmless = references * torch.sign(references @ gradient)[:, None]
    assert project(gradient, harmless, margin=0.5) is gradient


def test_dependent_and_zero_references_are_no_trouble() -> None:
    gradient, references = vectors(1, 2)
    dependent = torch.cat([references, 2 * references, torch.zeros(1, 9, dtype=torch.float64)])
    torch.testing.assert_close(project(gradient, dependent), project(gradient, references), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_the_size_of_the_gradients_does_not_matter(scale: float) -> None:
    gradient, references = vectors(2, 3)
    torch.testing.assert_close(project(scale * gradient, scale * references) / scale, project(gradient, references))


@pytest.mark.parametrize("scale", [1e-12, 1e-18, 1e-30, 1e-44])
def test_a_reference_of_a_vanished_loss_is_no_trouble_in_single_precision(scale: float) -> None:
    gradient, references = (t.float() for t in vectors(3, 3))
    references[1] *= scale
    found = project(gradient, references, margin=0.5)
    assert bool(found.isfinite().all())
    assert bool((references.double() @ found.double() >= -1e-5).all())


@pytest.mark.parametrize("seed", range(6))
def test_a_margin_solves_the_authors_quadratic_programme(seed: int) -> None:
    gradient, references = vectors(seed, 2)
    if bool((references @ gradient >= 0).all()):
        references = -references
    margin = 0.5
    found = project(gradient, references, margin)
    grid = torch.linspace(margin, 4.0, 351, dtype=torch.float64)
    v = torch.cartesian_prod(grid, grid)
    length = (v @ references + gradient).square().sum(1)
    assert (found.square().sum() <= length.min() + 1e-9) or bool(v[length.argmin()].max() > 3.99)


@pytest.mark.parametrize("seed", range(6))
def test_agem_is_gem_with_one_reference(seed: int) -> None:
    gradient, references = vectors(seed, 1)
    parts, others = list(gradient.split(3)), list(references[0].split(3))
    excess = project_off(parts, others)
    found = torch.cat([g - excess * r for g, r in zip(parts, others, strict=True)])
    torch.testing.assert_close(found, project(gradient, references))
    assert references[0] @ found >= -1e-9


def test_agem_without_a_reference_changes_nothing() -> None:
    assert project_off([torch.ones(3)], [torch.zeros(3)]).item() == 0

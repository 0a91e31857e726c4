"""Streaming linear discriminant analysis, against scikit-learn's on all data at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import NearestCentroid

from strategies.methods.slda import SLDA
from strategies.networks.penultimate_features import entering_head
from tests.strategies.cases import Case


@pytest.mark.parametrize("covariance", ["shared", "identity"])
def test_a_stream_gives_what_all_data_at_once_give(covariance: str) -> None:
    case = Case("slda", [("slda", {"covariance": covariance, "shrinkage": 0.1})])
    experiences, outputs = case.stream()
    learner = case.learner(outputs)
    for experience in experiences:
        learner.learn(experience, case.settings, past=experiences[: experience.index])
    with learner.evaluating(), torch.no_grad():
        features = [
            entering_head(learner.model, learner.prepare(part.inputs), "test").numpy()
            for part in (e.train for e in experiences)
        ]
        x, y = np.concatenate(features), torch.cat([e.train.targets for e in experiences]).numpy()
        given = learner.prepare(torch.cat([e.test.inputs for e in experiences]))
        answers = learner.scores(given, experiences[0]).argmax(1)
        z = entering_head(learner.model, given, "test").numpy()
    if covariance == "identity":
        expected = NearestCentroid().fit(x, y).predict(z)
    else:
        classes = np.unique(y)
        means = np.stack([x[y == c].mean(0) for c in classes])
        centred = x - means[np.searchsorted(classes, y)]
        shrunk = 0.9 * centred.T @ centred / len(x) + 0.1 * np.eye(x.shape[1])
        oracle = LinearDiscriminantAnalysis(solver="lsqr", priors=np.full(len(classes), 1 / len(classes)))
        oracle.fit(x, y)
        oracle.coef_ = np.linalg.solve(shrunk, means.T).T
        oracle.intercept_ = -(means * oracle.coef_).sum(1) / 2
        expected = oracle.predict(z)
    assert (answers.numpy() == expected).all()


def test_nothing_is_trained_and_unknown_classes_are_never_answered() -> None:
    case = Case("slda", [("slda", {})])
    experiences, outputs = case.stream()
    learner = case.learner(outputs)
    before = {name: tensor.clone() for name, tensor in learner.model.state_dict().items()}
    learner.learn(experiences[0], case.settings)
    assert all(torch.equal(tensor, before[name]) for name, tensor in learner.model.state_dict().items())
    scores = learner.scores(learner.prepare(experiences[0].test.inputs), experiences[0])
    assert scores[:, 2:].isinf().all() and scores[:, :2].isfinite().all()
    assert SLDA.predicts_logits

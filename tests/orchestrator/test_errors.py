"""The errors that end a command with a short message."""

import pickle

import pytest

from orchestrator import errors
from orchestrator.errors import LONGEST, ClusterError, OrchestratorError, RunFailed, StorageError

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, OrchestratorError)]


@pytest.mark.parametrize("kind", KINDS)
def test_each_has_an_exit_status_and_survives_the_way_to_another_process(kind: type[OrchestratorError]) -> None:
    sent = pickle.loads(pickle.dumps(kind("what, where, what to do")))
    assert type(sent) is kind and str(sent) == "what, where, what to do"
    assert kind.exit_status == (3 if issubclass(kind, StorageError | errors.TrackingError | ClusterError) else 1)
    assert RunFailed.exit_status == 1 and len(KINDS) >= 8


def test_secrets_and_endless_answers_are_left_out() -> None:
    text = str(StorageError("cannot reach http://user:hunter2secret@host/x: " + "long " * LONGEST))
    assert "hunter2secret" not in text and len(text) <= LONGEST

"""Errors of the orchestrator. Each message has one to three lines: what is wrong, where, and what to do."""

from orchestrator.redact import redact

# A message may quote the answer of a server, which can be very long.
LONGEST = 4000


class OrchestratorError(Exception):
    """Base of the errors that end a command with a short message instead of a traceback.

    The message is redacted on construction, since it may quote a URI or the answer of a server that holds a secret.
    """

    exit_status = 1

    def __init__(self, message: str) -> None:
        super().__init__(redact(message[:LONGEST]))


class RunFailed(OrchestratorError):
    """Training stopped before the end of the stream; the commits so far are kept."""


class CallbackFailed(RunFailed):
    """A callback of the user's raised an exception, which stopped the run; the commits made so far stay."""


class StorageError(OrchestratorError):
    """The storage is unavailable, or an object in it is missing or damaged."""

    exit_status = 3


class MissingKey(StorageError):
    """No object is stored under a key."""


class CorruptBlob(StorageError):
    """A blob does not match its SHA-256, or does not hold the expected tensors."""


class CorruptCommit(StorageError):
    """The file of a commit does not match its id, its checksum or the schema."""


class RefConflict(StorageError):
    """Another writer moved a ref at the same time."""


class Claimed(StorageError):
    """Another run, search or maintenance command is working on the pipeline."""


class Locked(StorageError):
    """The storage keeps what was to be deleted: an object lock protects it."""


class ClaimLost(StorageError):
    """Another took over the claim that this process had, so that it must not write any more."""


class TrackingError(OrchestratorError):
    """The MLflow server or database is unavailable."""

    exit_status = 3


class ClusterError(OrchestratorError):
    """The Ray cluster is unavailable, or lacks the requested resources."""

    exit_status = 3


class RayDied(ClusterError):
    """The head of the Ray cluster does not answer any more. Ray must not be used in this process from here on."""

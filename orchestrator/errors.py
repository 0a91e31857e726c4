"""What can go wrong where and when a pipeline runs. Each message is one to three lines: what, where, and what to do."""

from orchestrator.redact import redact

# A server's answer may be quoted; nobody reads more of it.
LONGEST = 4000


class OrchestratorError(Exception):
    """Base of the errors that end a command with a short message instead of a traceback.

    The message is redacted on construction: an error may quote a URI or a server's answer, never a secret in it.
    """

    exit_status = 1

    def __init__(self, message: str) -> None:
        super().__init__(redact(message[:LONGEST]))


class RunFailed(OrchestratorError):
    """Training stopped before the end of the stream; the commits made so far stay."""


class StorageError(OrchestratorError):
    """The storage cannot be used, or does not hold what it should."""

    exit_status = 3


class MissingKey(StorageError):
    """Nothing is stored under a key."""


class CorruptBlob(StorageError):
    """A blob does not match its SHA-256, or its bytes are not the tensors they should be."""


class CorruptCommit(StorageError):
    """A commit's file does not match its own identity, checksum or schema."""


class RefConflict(StorageError):
    """Another writer moved a ref in between."""


class Claimed(StorageError):
    """Another run, search or care command is at work on the pipeline."""


class TrackingError(OrchestratorError):
    """The MLflow server or database cannot be used."""

    exit_status = 3


class ClusterError(OrchestratorError):
    """The Ray cluster cannot be reached or cannot give what was asked for."""

    exit_status = 3


class RayDied(ClusterError):
    """The head of the Ray cluster does not answer any more; nothing of Ray is of use in this process from here on."""

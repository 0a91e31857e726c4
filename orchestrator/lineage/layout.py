"""Under which keys of a store a pipeline's lineage lies: the same in a folder and in S3."""

import re

from orchestrator.errors import StorageError

_PIPELINE = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def commits_prefix(pipeline: str) -> str:
    return f"{checked_pipeline(pipeline)}/commits/"


def outlines_prefix(pipeline: str) -> str:
    """What commits say of a long past, without their states."""
    return f"{checked_pipeline(pipeline)}/outlines/"


def outline_key(pipeline: str, commit: str) -> str:
    return f"{outlines_prefix(pipeline)}{checked_sha256(commit)}"


def blobs_prefix(pipeline: str) -> str:
    return f"{checked_pipeline(pipeline)}/blobs/"


def refs_prefix(pipeline: str) -> str:
    return f"{checked_pipeline(pipeline)}/refs/"


def runs_prefix(pipeline: str) -> str:
    """Scratch of Ray Train and Tune."""
    return f"{checked_pipeline(pipeline)}/runs/"


def claims_prefix(pipeline: str) -> str:
    return f"{checked_pipeline(pipeline)}/claims/"


def claim_key(pipeline: str, name: str) -> str:
    return f"{claims_prefix(pipeline)}{checked_ref(name)}.json"


def admissions_prefix(pipeline: str) -> str:
    return f"{checked_pipeline(pipeline)}/admissions/"


def admission_key(pipeline: str, number: int) -> str:
    return f"{admissions_prefix(pipeline)}{number}.json"


def admission_index_key(pipeline: str) -> str:
    """What the records of the admission log say together."""
    return f"{admissions_prefix(pipeline)}index.json"


def decisions_prefix(pipeline: str) -> str:
    """Verdicts, promotions and rollbacks."""
    return f"{checked_pipeline(pipeline)}/decisions/"


def decision_key(pipeline: str, number: int) -> str:
    return f"{decisions_prefix(pipeline)}{number:09}.json"


def decision_index_key(pipeline: str) -> str:
    """What the decisions say together."""
    return f"{decisions_prefix(pipeline)}index.json"


def tombstones_key(pipeline: str) -> str:
    """What must never be remembered again."""
    return f"{checked_pipeline(pipeline)}/forgotten.json"


def index_key(pipeline: str) -> str:
    """The index of data that is read by blocks."""
    return f"{checked_pipeline(pipeline)}/blocks.json"


def debt_key(pipeline: str) -> str:
    """That older versions of what was forgotten could not be deleted yet."""
    return f"{checked_pipeline(pipeline)}/debt.json"


def commit_key(pipeline: str, commit: str) -> str:
    return f"{commits_prefix(pipeline)}{checked_sha256(commit)}.json"


def blob_key(pipeline: str, sha256: str) -> str:
    return f"{blobs_prefix(pipeline)}{checked_sha256(sha256)}"


def ref_key(pipeline: str, name: str) -> str:
    return f"{refs_prefix(pipeline)}{checked_ref(name)}.json"


def checked_pipeline(name: str) -> str:
    """`name` itself. Raises StorageError when no pipeline can be called so."""
    if not is_pipeline(name):
        raise StorageError(
            f"{name[:100]!r} is no pipeline's name: use small letters, digits, dots, dashes, underscores"
        )
    return name


def is_pipeline(name: str) -> bool:
    """Whether a pipeline can be called so."""
    return _PIPELINE.fullmatch(name) is not None


def checked_ref(name: str) -> str:
    """`name` itself. Raises StorageError when no ref can be called so."""
    if not is_ref(name):
        raise StorageError(f"{name[:100]!r} is not a ref's name: use letters, digits, dots, dashes, underscores")
    return name


def is_ref(name: str) -> bool:
    """Whether a ref can be called so."""
    return _REF.fullmatch(name) is not None


def checked_sha256(text: str) -> str:
    """`text` itself. Raises StorageError when it is not 64 small hexadecimal digits."""
    if not _SHA256.fullmatch(text):
        raise StorageError(f"{text[:100]!r} is not the id of a commit or blob: 64 hexadecimal digits are expected")
    return text

"""The token that clients of a server must send."""

from __future__ import annotations

import os
from pathlib import Path

from pipelines.config.pipeline_errors import PipelineError

TOKEN = "EVERLEARN_SERVE_TOKEN"
"""Environment variable that holds the token."""


def read_token(file: str | None) -> str | None:
    """The token in a file, or else in the environment; None: none is needed.

    Raises:
        PipelineError: the file cannot be read, or the token is empty or has spaces.
    """
    if file is not None:
        try:
            token = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no text"
            raise PipelineError(f"--token-file {file}: cannot be read: {reason}") from error
        where = f"--token-file {file}"
    elif TOKEN in os.environ:
        token, where = os.environ[TOKEN].strip(), TOKEN
    else:
        return None
    if not token or any(not 32 < ord(letter) < 127 for letter in token):
        raise PipelineError(f"{where}: a token is a word of letters, digits and signs, without spaces")
    return token

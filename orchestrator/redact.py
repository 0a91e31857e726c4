"""Removing secrets from text before a person, a log or a server sees it."""

import os
import re

HIDDEN = "***"

# user:password@ (or token@) in front of a host. The user goes too: some services accept a token there alone. A password may
# hold an unescaped slash or @; host:port/path@x is no user information.
_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?:[^/\s?#:@]*:(?!\d{1,5}[/?#])[^\s\"'<>]*|[^/\s?#]*)@")
# Access key ids have a fixed form: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
_ACCESS_KEY = re.compile(r"(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,124}(?![A-Za-z0-9])")
_SECRET_NAME = r"""["']?[\w.-]*(?:secret|passw(?:or)?d|passphrase|access[_-]?key|private[_-]?key|api[_-]?key)[\w.-]*["']?"""
_MAYBE_NAME = r"""["']?[\w.-]*(?:token|credentials?|signature)[\w.-]*["']?"""
_VALUE = r"""(?:"[^"]*"|'[^']*'|[^\s&;,"'})\]<>]+)"""
# Words such as "token:" also begin ordinary sentences: there only a long or quoted value is taken for a secret.
_NAMED = re.compile(
    rf"(?i)(?P<name>{_SECRET_NAME}\s*[=:]\s*|{_MAYBE_NAME}=\s*)(?P<value>{_VALUE})"
    rf"|(?P<maybe>{_MAYBE_NAME}\s*:\s*)(?:\"[^\"]*\"|'[^']*'|[^\s&;,\"'}})\]<>]{{16,}})"
)
_ELEMENT = re.compile(r"(?i)<(?P<tag>[\w.-]*(?:secret|passw(?:or)?d|token|accesskey|signature)[\w.-]*)>[^<]*<")
_AUTHORIZATION = re.compile(r"(?i)\b(?P<scheme>bearer|basic)\s+(?=\S*[\d=._~+/-])[A-Za-z0-9+/=._~-]{8,}|\bAWS4-HMAC-SHA256\s+Credential.*")
_ENVIRONMENT = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "RAY_AUTH_TOKEN",
)


def redact(text: str) -> str:
    """`text` without user information in URIs, AWS keys, tokens, and values whose name marks them as secret.

    Idempotent. A secret that nothing marks cannot be recognised, except the ones in this process's own environment.
    """
    # A server may echo these in any form. Short values ("test") are no secrets and would eat ordinary words.
    values = {os.environ.get(name, "") for name in _ENVIRONMENT}
    for value in sorted((value for value in values if len(value) >= 8), key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    text = _USERINFO.sub(rf"\g<scheme>{HIDDEN}@", text)
    text = _AUTHORIZATION.sub(HIDDEN, text)
    text = _ELEMENT.sub(rf"<\g<tag>>{HIDDEN}<", text)
    text = _NAMED.sub(lambda match: f"{match['name'] or match['maybe']}{HIDDEN}", text)
    return _ACCESS_KEY.sub(HIDDEN, text)

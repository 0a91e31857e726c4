"""Remove secrets from text before a person, a log or a server sees it."""

import os
import re

HIDDEN = "***"

# user:password@ (or token@) in front of a host. The user is removed too: some services accept a token as the user.
# A password may hold an unescaped slash or @; host:port/path@x has no user information. Counts are bounded, so that a
# long word costs linear time.
_USERINFO = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,30}://)(?:[^/\s?#:@]*:(?!\d{1,5}[/?#])[^\s\"'<>]{0,1000}|[^/\s?#]{0,1000})@"
)
# Access key ids have a fixed form: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
_ACCESS_KEY = re.compile(r"(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,124}(?![A-Za-z0-9])")
_WORD = r"[\w.-]{0,64}"
# The text before such a word is kept. Leaving it out of the pattern saves 64 steps of the search at each character.
_SURE = rf"""(?:secret|passw(?:or)?d|passphrase|access[_-]?key|private[_-]?key|api[_-]?key){_WORD}["']?"""
_MAYBE = rf"""(?:token|credentials?|signature){_WORD}["']?"""
_QUOTED = r"""(?:"[^"]*"|'[^']*')"""
_BARE = r"""[^\s&;,"'})\]<>]"""
# Words such as "token:" also begin ordinary sentences: after them only a long or quoted value counts as a secret.
_NAMED = re.compile(
    rf"(?i)(?P<sure>{_SURE}\s{{0,9}}[=:]\s{{0,9}}|{_MAYBE}\s{{0,9}}=\s{{0,9}})(?:{_QUOTED}|{_BARE}+)"
    rf"|(?P<maybe>{_MAYBE}\s{{0,9}}:\s{{0,9}})(?:{_QUOTED}|{_BARE}{{16,}})"
)
_ELEMENT = re.compile(rf"(?i)<(?P<tag>{_WORD}(?:secret|passw(?:or)?d|token|accesskey|signature){_WORD})>[^<]*<")
_AUTHORIZATION = re.compile(
    r"(?i)\b(?:bearer|basic)\s+(?=\S{0,1000}[\d=._~+/-])[A-Za-z0-9+/=._~-]{8,}|\bAWS4-HMAC-SHA256\s+Credential.*"
)
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

    Idempotent. A secret that nothing marks is recognised only if it is a value in the environment of this process.
    """
    # A server may repeat these in any form. Short values such as "test" are no secrets and would match ordinary words.
    values = {os.environ.get(name, "") for name in _ENVIRONMENT}
    for value in sorted((value for value in values if len(value) >= 8), key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    if "@" in text:
        text = _USERINFO.sub(rf"\g<scheme>{HIDDEN}@", text)
    text = _AUTHORIZATION.sub(HIDDEN, text)
    text = _ELEMENT.sub(rf"<\g<tag>>{HIDDEN}<", text)
    text = _NAMED.sub(lambda match: f"{match['sure'] or match['maybe']}{HIDDEN}", text)
    return _ACCESS_KEY.sub(HIDDEN, text)

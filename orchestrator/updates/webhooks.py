"""Webhooks that report decisions: signed, sent again after a failure, with a limit on how long a decision waits."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from orchestrator.redact import redact

if TYPE_CHECKING:
    from orchestrator.lineage.decisions import Decision
    from pipelines.config.sections.gate_section import WebhookSpec

SIGNATURE = "X-Everlearn-Signature"
ATTEMPTS = 3
_PAUSES = (0.5, 2.0)
_TIMEOUT_S = 5.0
_LONGEST_S = 20.0


def notify(
    hooks: Sequence[WebhookSpec],
    pipeline: str,
    decisions: Sequence[Decision],
    warn: Callable[[str], object],
    *,
    pauses: Sequence[float] = _PAUSES,
) -> int:
    """Send decisions to webhooks, all hooks at the same time; returns how many messages arrived.

    Never raises: a message that cannot be sent in three attempts or 20 seconds becomes a warning, and the decision
    stands. A message may arrive twice, with the same `id`.

    Args:
        pauses: seconds between the attempts.
    """
    wanted = [(hook, [d for d in decisions if d.kind in _events(hook)]) for hook in hooks]
    wanted = [(hook, chosen) for hook, chosen in wanted if chosen]
    if not wanted:
        return 0
    with ThreadPoolExecutor(len(wanted), thread_name_prefix="everlearn-notify") as pool:
        sent = [pool.submit(_send_all, hook, pipeline, chosen, warn, pauses) for hook, chosen in wanted]
        return sum(future.result() for future in sent)


def message(pipeline: str, decision: Decision) -> bytes:
    """The body of a message, JSON: `text` for Slack and its like, and the decision without its evidence."""
    champion = f"{decision.champion[:12]}" if decision.champion else "none"
    what = {
        "verdict": f"commit {decision.commit[:12]} was judged: {decision.outcome}",
        "proposal": f"commit {decision.commit[:12]} is proposed: everlearn promote makes it the champion",
        "promotion": f"commit {decision.commit[:12]} is the champion{' (forced)' if decision.forced else ''}",
        "rollback": f"rolled back to commit {decision.commit[:12]}",
        "update": f"what has arrived is {'trained' if decision.outcome == 'train' else 'not trained yet'}",
        "retune": f"settings were searched, from commit {decision.commit[:12]} on",
        "training": f"commit {decision.commit[:12]} was trained",
    }[decision.kind]
    why = f"\n{decision.reason}" if decision.reason else ""
    document = {
        "text": f"{pipeline}: {what}; champion before: {champion}{why}",
        "id": decision.checksum,
        "pipeline": pipeline,
        "decision": decision.model_dump(mode="json", exclude={"evidence"}),
    }
    return json.dumps(document, separators=(",", ":")).encode()


def signature(secret: str, body: bytes) -> str:
    """`sha256=` and the HMAC-SHA256 of the body in hexadecimal digits, as GitHub's webhooks have it (RFC 2104)."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


def _events(hook: WebhookSpec) -> Sequence[str]:
    return hook.events if hook.events is not None else ("verdict", "proposal", "promotion", "rollback")


def _send_all(
    hook: WebhookSpec,
    pipeline: str,
    decisions: Sequence[Decision],
    warn: Callable[[str], object],
    pauses: Sequence[float],
) -> int:
    url = hook.url or os.environ.get(hook.url_from or "", "")
    secret = os.environ.get(hook.secret_from) if hook.secret_from else None
    unset = hook.url_from if not url else hook.secret_from if hook.secret_from and not secret else None
    if unset:
        warn(f"gate.notify: the environment variable {unset} is not set: nothing was sent")
        return 0
    deadline, sent = time.monotonic() + _LONGEST_S, 0
    for decision in decisions:
        problem = _send(url, secret, message(pipeline, decision), deadline, pauses)
        if problem is not None:
            where = hook.url_from or redact(url)
            warn(f"gate.notify: {where} was not told of decision {decision.number}: {problem}")
            break
        sent += 1
    return sent


def _send(url: str, secret: str | None, body: bytes, deadline: float, pauses: Sequence[float]) -> str | None:
    """None: it arrived; otherwise why not."""
    headers = {"Content-Type": "application/json", "User-Agent": "everlearn"}
    if secret:
        headers[SIGNATURE] = signature(secret, body)
    problem = "no time was left"
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(min(pauses[attempt - 1], max(0.0, deadline - time.monotonic())))
        left = deadline - time.monotonic()
        if left <= 0:
            return problem
        try:
            request = urllib.request.Request(url, body, headers, method="POST")
            with _opener.open(request, timeout=min(_TIMEOUT_S, left)):
                return None
        except urllib.error.HTTPError as error:
            problem = f"it answered {error.code}"
            error.close()
            if error.code < 500 and error.code not in (408, 429):
                return problem
        except (OSError, ValueError) as error:
            problem = redact(str(getattr(error, "reason", error)))[:200]
    return problem


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Redirects are refused: a signed message is sent to the URL of the pipeline file only."""

    def redirect_request(self, *arguments: object) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirects)

"""Apply the job of a pipeline to a Kubernetes cluster with the kubectl of the user."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.errors import ClusterError
from orchestrator.jobs.kubernetes.pod_template import Manifest
from orchestrator.jobs.kubernetes.ray_job import STAND_INS, JobOptions, render_job, to_yaml

TIMEOUT_S = 60

_HINTS = (
    ('no matches for kind "RayJob"', "Install the KubeRay operator, see k8s/README.md"),
    ("namespaces ", "Apply one of the overlays first, see k8s/README.md"),
    ("ValidatingAdmissionPolicy", "Change what it names; the rules are in k8s/base/admission.yaml"),
    ("forbidden", "Ask for the role everlearn-submit in that namespace"),
    ("Unauthorized", "Log in to the cluster again"),
)
_HINT = "Check that `kubectl cluster-info` answers, or choose another context (--context)"


@dataclass(frozen=True)
class Submission:
    """A rendered job, and whether it was applied.

    Attributes:
        name, namespace: name and namespace of the RayJob.
        kind: run or tune.
        manifest: the manifest as YAML.
        applied: whether it was applied to the cluster.
    """

    name: str
    namespace: str
    kind: str
    manifest: str
    applied: bool

    @property
    def commands(self) -> dict[str, str]:
        """Commands for status, logs and stop."""
        where = f"kubectl -n {self.namespace}"
        return {
            "status": f"{where} get rayjob {self.name}",
            "logs": f"{where} logs --follow job/{self.name}",
            "stop": f"{where} delete rayjob {self.name}",
        }

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "job": self.name,
            "namespace": self.namespace,
            "kind": self.kind,
            "applied": self.applied,
            "commands": self.commands,
        }


def submit_kubernetes(
    file: str | Path, kind: str = "run", options: JobOptions | None = None, *, apply: bool, context: str | None = None
) -> Submission:
    """Render the job of a pipeline file; with `apply`, start it.

    Each submission has a job name of its own. Submit a pipeline again to resume it.

    Args:
        context: context of kubectl; None: the current one.

    Raises:
        PipelineError: the file or the options are wrong.
        ClusterError: kubectl is missing, cannot reach the cluster, or has no permission.
    """
    from pipelines.config.load import load_pipeline

    options = options or JobOptions()
    if not options.suffix:
        options = replace(options, suffix=secrets.token_hex(3))
    load_pipeline(file, [*options.overrides, *STAND_INS])
    job, *others = render_job(Path(file).read_text("utf-8-sig"), kind, options, str(file))
    if apply:
        made = _apply(job, context)
        # The job owns its ConfigMap and its NetworkPolicy, which are then deleted with it; its pods wait for both.
        owner = {key: made[key] for key in ("apiVersion", "kind")} | {
            key: made["metadata"][key] for key in ("name", "uid")
        }
        others = [{**other, "metadata": {**other["metadata"], "ownerReferences": [owner]}} for other in others]
        for other in others:
            _apply(other, context)
    return Submission(
        name=job["metadata"]["name"],
        namespace=options.namespace,
        kind=kind,
        manifest=to_yaml([job, *others]),
        applied=apply,
    )


def _apply(manifest: Manifest, context: str | None) -> Any:
    """Apply a manifest, and return the object as the cluster stores it."""
    found = _kubectl(
        ["apply", "--server-side", "--field-manager=everlearn", "-o", "json", "-f", "-"], manifest, context
    )
    try:
        return json.loads(found)
    except ValueError:
        raise ClusterError("the output of kubectl is not an object in JSON\nCheck `kubectl version`") from None


def _kubectl(arguments: Sequence[str], manifest: Manifest, context: str | None) -> str:
    program = shutil.which("kubectl")
    if program is None:
        raise ClusterError("kubectl was not found\nInstall it, or omit --apply and apply the printed manifest yourself")
    chosen = ["--context", context] if context is not None else []
    try:
        done = subprocess.run(
            [program, *chosen, f"--request-timeout={TIMEOUT_S}s", *arguments],
            input=to_yaml([manifest]),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S + 30,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ClusterError(f"kubectl did not answer within {TIMEOUT_S + 30} s\n{_HINT}") from None
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        reason = lines[-1] if lines else f"exit status {done.returncode}"
        hint = next((text for sign, text in _HINTS if sign in done.stderr), _HINT)
        raise ClusterError(f"kubectl could not apply the {manifest['kind']}: {reason}\n{hint}")
    return done.stdout

"""`everlearn step` at given times: a line for crontab, or a CronJob or RayCronJob for Kubernetes.

A step may be started twice, and one that was killed is completed by the next: so any scheduler is suitable.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from orchestrator.jobs.kubernetes.network_policy import network_policy
from orchestrator.jobs.kubernetes.pod_count import Size, size_of
from orchestrator.jobs.kubernetes.pod_template import FOLDER, Manifest, container, pod_template
from orchestrator.jobs.kubernetes.ray_job import (
    LONGEST_NAME,
    RETRIES,
    JobOptions,
    job_name,
    job_spec,
    pod_environment,
    prepared,
)
from pipelines.config.pipeline_errors import PipelineError

# KubeRay and Kubernetes append a number to the names of the jobs that they make.
_LONGEST = LONGEST_NAME - 11
_KEPT = 3
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))
_PART = re.compile(r"(\*|\d{1,2}(?:-\d{1,2})?)(?:/(\d{1,2}))?")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9+_/-]{0,63}")


def checked_cron(text: str) -> str:
    """A cron expression of five fields of numbers, as crontab and Kubernetes both read it.

    Raises:
        ValueError: it is none; the message says what is wrong.
    """
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(f"must have five fields such as '0 * * * *', got {len(fields)}")
    for field, (name, low, high) in zip(fields, _FIELDS, strict=True):
        for part in field.split(","):
            found = _PART.fullmatch(part)
            numbers = [] if found is None or found[1] == "*" else [int(number) for number in found[1].split("-")]
            if found is None or not all(low <= number <= high for number in numbers) or numbers != sorted(numbers):
                raise ValueError(f"{name}: must be *, or numbers from {low} to {high}, got '{part[:20]}'")
            if found[2] is not None and int(found[2]) == 0:
                raise ValueError(f"{name}: the step after / must be at least 1")
    return " ".join(fields)


def crontab_line(cron: str, program: str, arguments: Sequence[str], folder: str) -> str:
    """A line for `crontab -e` that steps in a folder.

    Args:
        program: path of everlearn.
        arguments: of `everlearn step`: the file, and further options.
    """
    command = f"cd {shlex.quote(folder)} && {shlex.join([program, 'step', *arguments])}"
    # In crontab a % ends the command.
    return f"{checked_cron(cron)} {command}".replace("%", r"\%")


def render_schedule(
    text: str, cron: str, options: JobOptions | None = None, source: str = "<text>", time_zone: str | None = None
) -> list[Manifest]:
    """What steps at given times on Kubernetes: a CronJob, in whose process one worker trains; for more a RayCronJob.

    Args:
        text: of the pipeline file.
        cron: five fields, as for crontab.
        source: name of the file in error messages.
        time_zone: by which the times are meant, such as Europe/Berlin; None: that of the controller, mostly UTC.

    Raises:
        PipelineError: the file is wrong, contains a secret, or stores the lineage in a pod.
        ValueError: the times or the time zone are wrong.
    """
    options = options or JobOptions()
    cron = checked_cron(cron)
    if time_zone is not None and _ZONE.fullmatch(time_zone) is None:
        raise ValueError(f"--time-zone: must be a name such as Europe/Berlin, got {time_zone[:40]!r}")
    text, pipeline = prepared(text, source, options.overrides)
    if options.queue is not None:
        raise PipelineError("--queue: a schedule takes no queue, because its jobs are small and are started again")
    name = job_name(pipeline.name, "step", options.suffix, _LONGEST)
    labels = {"app.kubernetes.io/part-of": "everlearn", "app.kubernetes.io/instance": name, "everlearn/kind": "step"}
    metadata = {"name": name, "namespace": options.namespace, "labels": labels}
    times = {"schedule": cron, **({"timeZone": time_zone} if time_zone is not None else {})}
    size = size_of(pipeline, "run")
    alone = size.maximum == 1 and not size.gpu and not size.custom
    files: Manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"pipeline.yaml": text}}
    return [
        {
            "apiVersion": "batch/v1" if alone else "ray.io/v1",
            "kind": "CronJob" if alone else "RayCronJob",
            "metadata": {**metadata, "annotations": {"everlearn/pipeline": pipeline.name}},
            "spec": {
                **times,
                **(_alone(name, labels, size, options) if alone else _on_ray(name, labels, size, options)),
            },
        },
        files,
        network_policy(metadata),
    ]


def _on_ray(name: str, labels: dict[str, str], size: Size, options: JobOptions) -> Manifest:
    return {"jobTemplate": job_spec(name, "step", labels, size, options)}


def _alone(name: str, labels: dict[str, str], size: Size, options: JobOptions) -> Manifest:
    """The pod has the label and the account of a worker, which may reach the storage and MLflow."""
    step = container(
        "step",
        options.image,
        size.resources,
        environment=pod_environment(options),
        mounts=[{"name": "pipeline", "mountPath": FOLDER, "readOnly": True}],
    )
    step["command"] = ["everlearn", "step", f"{FOLDER}/pipeline.yaml"]
    volumes = [{"name": "pipeline", "configMap": {"name": name}}]
    template = pod_template("ray-worker", step, labels=labels, account="ray-worker", volumes=volumes)
    template["spec"]["restartPolicy"] = "Never"
    return {
        # A step that finds another at work ends at once; not starting it saves its pod.
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": 300,
        "successfulJobsHistoryLimit": _KEPT,
        "failedJobsHistoryLimit": _KEPT,
        "jobTemplate": {
            "metadata": {"labels": labels},
            "spec": {
                "backoffLimit": RETRIES,
                # The status of a full quarantine and of a refusal: starting again changes neither.
                "podFailurePolicy": {
                    "rules": [
                        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [2, 4, 5]}},
                    ]
                },
                "template": template,
            },
        },
    }

"""A pipeline as a RayJob: a Ray cluster of its own for the duration of the run or the search."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from orchestrator.jobs.kubernetes.network_policy import network_policy
from orchestrator.jobs.kubernetes.pod_count import Size, size_of
from orchestrator.jobs.kubernetes.pod_template import FOLDER, Manifest, confined, container, pod_template
from pipelines.config.pipeline_errors import PipelineError

if TYPE_CHECKING:
    from pipelines.config.schema import Pipeline

KINDS = ("run", "tune")
IMAGE = "everlearn:0.1.0"
NAMESPACE = "everlearn"
RAY_VERSION = "2.60.0"
SETTINGS = "everlearn-settings"
CREDENTIALS = "everlearn-s3"
LOGIN = "everlearn-mlflow"
# Heads with it reach the Kubernetes API.
AUTOSCALER = "everlearn/autoscaler"
# The limit of the operator, which appends to the name; the result must be a valid host name.
LONGEST_NAME = 47
RETRIES = 2
KEEP_SECONDS = 300
# Placeholders: the variables in storage and tracking are those of the cluster, not of this machine.
STAND_INS = ("storage=s3://bucket", "tracking.uri=http://mlflow")

_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=([a-z0-9]([a-z0-9.-]*[a-z0-9])?)/([A-Za-z0-9._-]+)")


@dataclass(frozen=True)
class JobOptions:
    """Options of a job that are not in the pipeline file.

    Attributes:
        image: image with Everlearn, Ray and the components of the pipeline.
        namespace: namespace to which the manifests of `k8s/` were applied.
        overrides: as in `--set`; they are written into the file that the job reads.
        secrets: names of secrets whose keys become environment variables; missing ones are ignored.
        variables: single environment variables, as NAME=SECRET/KEY.
        queue: local queue of Kueue; the number of workers is then fixed.
        tls: encrypt the traffic inside the cluster; see k8s/components/tls.
        suffix: suffix of the job name, which distinguishes several jobs of one pipeline.
    """

    image: str = IMAGE
    namespace: str = NAMESPACE
    overrides: Sequence[str] = ()
    secrets: Sequence[str] = (CREDENTIALS, LOGIN)
    variables: Sequence[str] = ()
    queue: str | None = None
    tls: bool = False
    suffix: str = ""


def render_job(text: str, kind: str, options: JobOptions | None = None, source: str = "<text>") -> list[Manifest]:
    """The RayJob of a pipeline, the ConfigMap with its file, and its NetworkPolicy.

    None contains values of secrets: the pods read them from the secrets of the cluster by name.

    Args:
        text: text of the pipeline file.
        source: name of the file in error messages.
        kind: run or tune.

    Raises:
        PipelineError: the file is wrong, contains a secret, or stores the lineage in a pod, where it would be lost.
    """
    options = options or JobOptions()
    if kind not in KINDS:
        raise PipelineError([f"--kind: must be one of {', '.join(KINDS)}, got {kind}"])
    text, pipeline = prepared(text, source, options.overrides)
    if kind == "tune" and pipeline.tune is None:
        raise PipelineError([f"{source}: has no tune section, so that there is nothing to search"])
    name = job_name(pipeline.name, kind, options.suffix)
    labels = {"app.kubernetes.io/part-of": "everlearn", "app.kubernetes.io/instance": name, "everlearn/kind": kind}
    metadata = {"name": name, "namespace": options.namespace, "labels": labels}
    job: Manifest = {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {**metadata, "annotations": {"everlearn/pipeline": pipeline.name}},
        "spec": job_spec(name, kind, labels, size_of(pipeline, kind), options),
    }
    if options.queue is not None:
        job["metadata"]["labels"] = {**labels, "kueue.x-k8s.io/queue-name": options.queue}
    files: Manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {"pipeline.yaml": text},
    }
    return [job, files, network_policy(metadata)]


def to_yaml(manifests: Sequence[Manifest]) -> str:
    """Manifests as one YAML stream."""
    dumped: str = yaml.dump_all(manifests, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
    return dumped


def job_name(pipeline: str, kind: str, suffix: str = "", longest: int = LONGEST_NAME) -> str:
    """A name that Kubernetes and KubeRay accept; a long one is shortened, and made unique by a hash."""
    stem = re.sub(r"[^a-z0-9-]+", "-", pipeline.lower()).strip("-")
    stem = stem if stem[:1].isalpha() else f"p-{stem}".rstrip("-")
    tail = "-".join(part for part in (kind, suffix) if part)
    room = longest - len(tail) - 1
    if len(stem) > room:
        stem = f"{stem[: room - 7].rstrip('-')}-{hashlib.sha256(pipeline.encode()).hexdigest()[:6]}"
    return f"{stem}-{tail}"


def job_spec(name: str, kind: str, labels: dict[str, str], size: Size, options: JobOptions) -> Manifest:
    """The `spec` of a RayJob that runs a command on the file in the ConfigMap `name`."""
    submitter = container(
        "ray-job-submitter", options.image, {"cpu": "500m", "memory": "1Gi"}, environment={"env": _own_environment()}
    )
    return {
        "entrypoint": f"everlearn {kind} {FOLDER}/pipeline.yaml",
        "submissionMode": "K8sJobMode",
        "submitterPodTemplate": _with_restart(
            pod_template("ray-submitter", submitter, labels=labels, account="ray-submitter")
        ),
        "submitterConfig": {"backoffLimit": 3},
        # Each retry is a new cluster, in which the run resumes after its last commit.
        "backoffLimit": RETRIES,
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": KEEP_SECONDS,
        "rayClusterSpec": _cluster_spec(name, labels, size, options),
    }


def _with_restart(template: Manifest) -> Manifest:
    template["spec"]["restartPolicy"] = "Never"
    return template


def _cluster_spec(name: str, labels: dict[str, str], size: Size, options: JobOptions) -> Manifest:
    # Kueue admits a job as a whole, so its size must be fixed.
    autoscaling = size.minimum < size.maximum and options.queue is None
    environment = pod_environment(options)
    file_mount = [{"name": "pipeline", "mountPath": FOLDER, "readOnly": True}]
    head = container(
        "ray-head",
        options.image,
        {"cpu": "1", "memory": "6Gi"},
        environment=environment,
        mounts=file_mount,
        ports={"gcs-server": 6379, "dashboard": 8265, "client": 10001, "metrics": 8080},
    )
    worker = container("ray-worker", options.image, size.resources, environment=environment, ports={"metrics": 8080})
    spec: Manifest = {"rayVersion": RAY_VERSION, "authOptions": {"mode": "token"}}
    if options.tls:
        spec["tlsOptions"] = {"enabled": True}
    if autoscaling:
        spec |= {"enableInTreeAutoscaling": True, "autoscalerOptions": autoscaler_options()}
    group: Manifest = {
        "groupName": "gpu" if size.gpu else "cpu",
        "replicas": size.maximum,
        "minReplicas": size.minimum if autoscaling else size.maximum,
        "maxReplicas": size.maximum,
        "rayStartParams": {},
        "template": pod_template("ray-worker", worker, labels=labels, account="ray-worker", gpu=size.gpu),
    }
    if size.custom:
        group["resources"] = dict(size.custom)
    return {
        **spec,
        "headGroupSpec": {
            # No workers or trials on the head: they would delay what it does for the whole cluster.
            "rayStartParams": {"num-cpus": "0"},
            "template": pod_template(
                "ray-head",
                head,
                labels={**labels, AUTOSCALER: "true"} if autoscaling else labels,
                account="ray-head",
                volumes=[
                    {"name": "pipeline", "configMap": {"name": name}},
                    *(autoscaler_volumes() if autoscaling else []),
                ],
            ),
        },
        "workerGroupSpecs": [group],
    }


def autoscaler_options() -> Manifest:
    """Options of the autoscaler that the operator adds to the pod of the head."""
    return {
        "version": "v2",
        "idleTimeoutSeconds": 120,
        "env": _own_environment(),
        "resources": {"requests": {"cpu": "200m", "memory": "512Mi"}, "limits": {"cpu": "500m", "memory": "1Gi"}},
        "securityContext": confined(),
        # Not the folder of the head: user code writes there, and a login shell reads its profile from it.
        "volumeMounts": [
            {"name": "autoscaler-tmp", "mountPath": "/tmp"},
            {"name": "kubernetes", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True},
        ],
    }


def autoscaler_volumes() -> list[Manifest]:
    """Volumes of the head that only the autoscaler mounts: its temporary folder, and the token of the service account.

    The token can patch pods and Ray clusters; the container in which user code runs does not get it.
    """
    sources: list[Manifest] = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
    return [{"name": "autoscaler-tmp", "emptyDir": {}}, {"name": "kubernetes", "projected": {"sources": sources}}]


def pod_environment(options: JobOptions) -> Manifest:
    """The `env` and `envFrom` of a container in which a pipeline runs. Raises PipelineError: a wrong variable."""
    variables = _own_environment()
    problems: list[str] = []
    for text in options.variables:
        match = _VARIABLE.fullmatch(text)
        if match is None:
            # The argument may be the secret itself.
            problems.append(
                f"--env {text.partition('=')[0]}: must have the form NAME=SECRET/KEY, with the key of a secret"
            )
            continue
        reference = {"name": match[2], "key": match[4]}
        variables.append({"name": match[1], "valueFrom": {"secretKeyRef": reference}})
    if problems:
        raise PipelineError(problems)
    sources: list[Manifest] = [{"configMapRef": {"name": SETTINGS}}]
    sources += [{"secretRef": {"name": secret, "optional": True}} for secret in options.secrets]
    return {"env": variables, "envFrom": sources}


def _own_environment() -> list[Manifest]:
    # Libraries write caches to the home folder, and the root file system is read-only.
    return [{"name": "HOME", "value": "/tmp"}]


def prepared(text: str, source: str, overrides: Sequence[str]) -> tuple[str, Pipeline]:
    """The text that the job reads, with the overrides applied, and its pipeline."""
    from pipelines.config.document import parse
    from pipelines.config.import_path import modules_beside
    from pipelines.config.load import load_text
    from pipelines.config.overrides import apply
    from pipelines.config.shorthand import write_out

    with modules_beside(Path(source)):
        pipeline = load_text(text, source, [*overrides, *STAND_INS])
    document = parse(text, source)
    if overrides:
        write_out(document)
        apply(document, overrides)
        text = yaml.safe_dump(document.data, sort_keys=False, width=120, allow_unicode=True)
    problems = [*_secrets_in(text, source), *_lost_with_the_pod(document.data, source)]
    if problems:
        raise PipelineError(problems)
    return text, pipeline


def _secrets_in(text: str, source: str) -> list[str]:
    from orchestrator.redact import redact

    return [
        f"{source}:{number}: looks like a secret, which everyone in the cluster could read: "
        "store it in a secret (--env NAME=SECRET/KEY) and write ${NAME}"
        for number, line in enumerate(text.splitlines(), start=1)
        if redact(line) != line
    ]


def _lost_with_the_pod(document: Any, source: str) -> list[str]:
    problems = []
    storage, tracking = document.get("storage"), document.get("tracking")
    uri = tracking.get("uri") if isinstance(tracking, dict) else None
    if storage is not None and not str(storage).startswith(("s3://", "${")):
        problems.append(
            f"{source}: storage: would be lost with its pod: use s3://bucket/prefix or ${{EVERLEARN_STORAGE}}"
        )
    if (
        uri is not None
        and not str(uri).startswith("${")
        and ("://" not in str(uri) or str(uri).startswith(("sqlite:", "file:")))
    ):
        problems.append(f"{source}: tracking.uri: would be lost with its pod: use a server or ${{MLFLOW_TRACKING_URI}}")
    return problems


class _Dumper(yaml.SafeDumper):
    """Writes multi-line text as blocks, and no aliases, so that a person can read and edit it."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _block)

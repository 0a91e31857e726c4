"""Pipelines as jobs on Kubernetes, run by the KubeRay operator: rendering the manifests, and applying them.

The names below may be imported from here. Only `kubectl` connects to a cluster.

from orchestrator.jobs.kubernetes import render_job, to_yaml

print(to_yaml(render_job(text, "run", image="registry.example/everlearn:0.1.0")))
"""

from orchestrator.jobs.kubernetes.kubectl import Submission, submit_kubernetes
from orchestrator.jobs.kubernetes.ray_job import IMAGE, NAMESPACE, JobOptions, render_job, to_yaml

__all__ = ["IMAGE", "NAMESPACE", "JobOptions", "Submission", "render_job", "submit_kubernetes", "to_yaml"]

"""Pipelines as jobs on Kubernetes, run by the KubeRay operator: the manifests, and handing them to a cluster.

from orchestrator.kubernetes import render_job, to_yaml

print(to_yaml(render_job(text, "run", image="registry.example/everlearn:0.1.0")))
"""

from orchestrator.kubernetes.job import IMAGE, NAMESPACE, JobOptions, render_job, to_yaml
from orchestrator.kubernetes.submit import Submission, submit_kubernetes

__all__ = ["IMAGE", "NAMESPACE", "JobOptions", "Submission", "render_job", "submit_kubernetes", "to_yaml"]

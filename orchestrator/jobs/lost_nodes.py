"""Nodes and workers that jobs lost, each with the cause in one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.redact import redact

if TYPE_CHECKING:
    from orchestrator.jobs.dashboard_client import Dashboard

# Reasons in Ray for an actor that was ended on purpose.
_WANTED = ("RAY_KILL", "OUT_OF_SCOPE", "REF_DELETED", "OWNER_DIED", "INTENDED")
_LONGEST = 200


def incidents(dashboard: Dashboard, jobs: Sequence[Any]) -> list[list[str]]:
    """For each job, as the Jobs API of Ray describes it, the nodes and workers that it lost, as far as Ray remembers.

    Sends two requests for any number of jobs.
    """
    started = [details for details in jobs if details.start_time]
    if not started:
        return [[] for _ in jobs]
    nodes = dashboard.state("nodes", state="DEAD")
    actors = dashboard.state("actors", state="DEAD")
    return [_of(details, nodes, actors) for details in jobs]


def _of(details: Any, nodes: Sequence[Mapping[str, Any]], actors: Sequence[Mapping[str, Any]]) -> list[str]:
    if not details.start_time:
        return []
    until = details.end_time or float("inf")
    lost = [
        f"node {node.get('node_ip')} ({str(node.get('node_id'))[:8]}) failed: {_line(node.get('state_message'))}"
        for node in nodes
        if details.start_time <= (node.get("end_time_ms") or 0) <= until
    ]
    gone = {node.get("node_id") for node in nodes}
    driver = getattr(details.driver_info, "id", None)
    for actor in actors:
        cause = (actor.get("death_cause") or {}).get("actor_died_error_context") or {}
        # An actor on a failed node failed with it: the node is reported already.
        if driver is None or actor.get("job_id") != driver or _wanted(cause) or actor.get("node_id") in gone:
            continue
        what = "worker" if actor.get("class_name") == "RayTrainWorker" else str(actor.get("class_name"))
        where = f"on {cause.get('node_ip_address') or 'node ' + str(actor.get('node_id'))[:8]}"
        lost.append(f"{what} {actor.get('pid')} {where} failed: {_line(cause.get('error_message'))}")
    return lost


def _wanted(cause: Mapping[str, Any]) -> bool:
    words = f"{cause.get('reason', '')} {cause.get('error_message', '')}"
    return any(word in words for word in _WANTED)


def _line(text: Any) -> str:
    words = " ".join(str(text or "unknown cause").split())
    return redact(words)[:_LONGEST]

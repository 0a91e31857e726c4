"""What jobs lost on their way."""

from types import SimpleNamespace
from typing import Any, cast

from orchestrator.jobs.dashboard_client import Dashboard
from orchestrator.jobs.lost_nodes import incidents


class Known:
    """What the state of a cluster looks like: two nodes died, and several actors of several jobs."""

    asked = 0

    def state(self, kind: str, **filters: str) -> list[dict[str, Any]]:
        self.asked += 1
        if kind == "nodes":
            dead = {"node_id": "cdf2f655dcc9", "node_ip": "10.0.0.3", "state_message": "missed\n heartbeats"}
            return [{**dead, "end_time_ms": 150}, {**dead, "end_time_ms": 50}]
        return [
            actor("02", "RayTrainWorker", 7, "WORKER_DIED", "the process was killed, password=hunter2hunter2"),
            actor("02", "RayTrainWorker", 8, "RAY_KILL", "killed by ray.kill"),
            actor("02", "SynchronizationActor", 9, "OUT_OF_SCOPE", "no references"),
            actor("02", "PlacementGroupCleaner", 12, "WORKER_DIED", "Worker exit type: INTENDED_USER_EXIT"),
            actor("02", "RayTrainWorker", 13, "NODE_DIED", "its node died") | {"node_id": "cdf2f655dcc9"},
            actor("03", "ImplicitFunc", 10, "NODE_DIED", ""),
            {"job_id": "02", "class_name": "Odd", "pid": 11, "node_id": "n", "death_cause": None},
        ]


def actor(job: str, kind: str, pid: int, reason: str, message: str) -> dict[str, Any]:
    context = {"reason": reason, "error_message": message, "node_ip_address": "10.0.0.3"}
    return {
        "job_id": job, "class_name": kind, "pid": pid, "death_cause": {"actor_died_error_context": context},
    }  # fmt: skip


def job(start: int | None, end: int | None, driver: str | None) -> Any:
    info = SimpleNamespace(id=driver) if driver else None
    return SimpleNamespace(start_time=start, end_time=end, driver_info=info)


def test_each_job_has_its_own_in_one_line_each() -> None:
    known = Known()
    jobs = [job(100, None, "02"), job(100, 120, "03"), job(40, 60, None), job(None, None, None)]
    first, second, third, fourth = incidents(cast(Dashboard, known), jobs)
    assert first == [
        "node 10.0.0.3 (cdf2f655) failed: missed heartbeats",
        "worker 7 on 10.0.0.3 failed: the process was killed, password=***",
        "Odd 11 on node n failed: unknown cause",
    ]
    assert second == ["ImplicitFunc 10 on 10.0.0.3 failed: unknown cause"]
    assert third == ["node 10.0.0.3 (cdf2f655) failed: missed heartbeats"] and fourth == []
    assert known.asked == 2


def test_nothing_is_asked_for_jobs_that_have_not_begun() -> None:
    known = Known()
    assert incidents(cast(Dashboard, known), [job(None, None, None)]) == [[]] and known.asked == 0

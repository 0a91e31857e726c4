"""The Ray cluster that a run uses: a local one that is started for it, or a remote one."""

from __future__ import annotations

import gc
import logging
import os
import shlex
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from orchestrator.cluster.local_environment import LocalEnvironment, check_local_environment, token_settings
from orchestrator.errors import ClusterError, RayDied

if TYPE_CHECKING:
    from pipelines.config.sections.scaling_section import ScalingSpec

# Ray reads these when its processes start. The interval decides how soon a finished or failed worker is noticed.
_SETTINGS = {
    "RAY_worker_niceness": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # Else Ray starts a process for each CPU ahead, of which a run uses one: its workers have environments of their own.
    "RAY_prestart_worker_first_driver": "0",
}
# Seconds that workers wait for their placement. A remote cluster may have to start a node first.
_PATIENCE, _PATIENCE_REMOTE = 60, 300
# An elastic group takes the resources that are free: it waits only while Ray has not noticed yet that a node is lost.
_PATIENCE_ELASTIC = 30
_START_TIMEOUT = "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"


@contextmanager
def cluster(address: str | None, scaling: ScalingSpec, *, verbose: bool = False) -> Iterator[None]:
    """Connect to Ray for the duration of the block. A local cluster is shut down at its end.

    Args:
        address: address of a cluster (`host:port`, `ray://...` or `auto`); None: RAY_ADDRESS, else a local cluster.
        scaling: what the workers need; a local cluster gets at least that many CPUs, so that workers can share cores.

    Raises:
        ClusterError: the cluster cannot be reached, or lacks the resources that the workers need.
    """
    refuse_unfit(address)
    settings = dict(_SETTINGS)
    local, address = _starts_local(address), _named(address)
    if local:
        settings |= token_settings(os.environ)
        # The only node of a local cluster is never preempted: save the process that watches for it.
        settings["RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"] = "0"
        # Where /dev/shm is small, as in a container, the object store lies in the folder for temporary files.
        settings["RAY_OBJECT_STORE_ALLOW_SLOW_STORAGE"] = "1"
    import ray

    chosen = {name: os.environ.get(name, value) for name, value in settings.items()}
    with _environment({**chosen, _START_TIMEOUT: f"{start_timeout(scaling, remote=address is not None):g}"}):
        if ray.is_initialized():
            yield
        else:
            with _connected(address, scaling, verbose=verbose):
                yield


def refuse_unfit(address: str | None) -> None:
    """Raise ClusterError when a local Ray would be started for this address, and this machine is not fit for it.

    It needs no import of Ray: a command may ask before it does anything else.
    """
    if _starts_local(address):
        check_local_environment(LocalEnvironment.current())


def what_is_waited_for(address: str | None, scaling: ScalingSpec) -> str:
    """In words, before a run has its workers."""
    number = f"{scaling.minimum}" if scaling.minimum == scaling.maximum else f"{scaling.minimum} to {scaling.maximum}"
    return f"for Ray on {where(address)} to start {number} worker{'' if number == '1' else 's'}"


def where(address: str | None) -> str:
    """In words, where Ray runs."""
    from orchestrator.redact import redact

    return "this machine" if _named(address) is None else f"the cluster at {redact(str(_named(address)))}"


def _starts_local(address: str | None) -> bool:
    known = sys.modules.get("ray")
    return _named(address) is None and not (known is not None and known.is_initialized())


def _named(address: str | None) -> str | None:
    """The address of a cluster that exists; None: a local one."""
    return None if address == "local" else address or os.environ.get("RAY_ADDRESS") or None


def start_timeout(scaling: ScalingSpec, *, remote: bool) -> float:
    """Seconds after which a worker group without placement is given up, and its size is decided again.

    Args:
        remote: whether the cluster existed before this run.
    """
    given = float(os.environ.get(_START_TIMEOUT) or (_PATIENCE_REMOTE if remote else _PATIENCE))
    return min(given, _PATIENCE_ELASTIC) if scaling.minimum < scaling.maximum else given


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the duration of the block."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _connected(address: str | None, scaling: ScalingSpec, *, verbose: bool) -> Iterator[None]:
    import ray

    from orchestrator.cluster.package_names import shadowed, worker_setup

    level = logging.INFO if verbose else logging.ERROR
    workers: dict[str, Any] = {"worker_process_setup_hook": worker_setup()} if shadowed() else {}
    if address is None and shlex.quote(sys.executable) != sys.executable:
        workers["py_executable"] = shlex.quote(sys.executable)  # Ray puts it into a line of a shell as it stands
    setup = {"runtime_env": workers} if workers else {}
    if address is not None:
        _reach(address)
    try:
        if address is None:
            ray.init(
                address="local",  # otherwise Ray would join any cluster that it finds on this machine
                num_cpus=max(os.cpu_count() or 1, _cpus(scaling)),
                include_dashboard=False,
                log_to_driver=verbose,
                logging_level=level,
                **setup,
            )
        else:
            ray.init(address=address, log_to_driver=verbose, logging_level=level, **setup)
    except Exception as error:  # Ray raises a bare Exception when the start takes too long
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ClusterError(_unavailable(address, reason)) from error
    try:
        if address is None:
            _check(scaling)
        with nullcontext() if verbose else _hushed():
            yield
    except RayDied:
        raise  # ray.shutdown() on a cluster that failed may end this process
    except BaseException:
        ray.shutdown()
        raise
    gc.collect()  # before the shutdown: freeing Ray objects later, in another thread, would end this process
    ray.shutdown()


@contextmanager
def cluster_when_needed(
    address: str | None, scaling: ScalingSpec, *, verbose: bool = False
) -> Iterator[Callable[[], None]]:
    """As `cluster`, but connects when the yielded function is called first; the function raises what `cluster` does.

    Raises:
        ClusterError: at once, when a local Ray could not start here.
    """
    refuse_unfit(address)
    with ExitStack() as entered:
        started = False

        def start() -> None:
            nonlocal started
            if not started:
                entered.enter_context(cluster(address, scaling, verbose=verbose))
                started = True

        yield start


@contextmanager
def _hushed() -> Iterator[None]:
    """Hide the paragraph that Ray prints on stdout for every worker failure: the run reports it in one line."""
    from ray._private import worker

    shown = getattr(worker, "print_to_stdstream", None)
    if shown is None:
        yield
        return

    def show(data: dict[str, Any], *arguments: Any, **named: Any) -> None:
        if data.get("pid") != "raylet":
            shown(data, *arguments, **named)

    worker.print_to_stdstream = show
    try:
        yield
    finally:
        worker.print_to_stdstream = shown


def _unavailable(address: str | None, reason: str) -> str:
    if address is None:
        return (
            f"Ray did not start on this machine: {reason}\n"
            "--verbose shows its log. Frequent causes: little free memory, a full /tmp"
        )
    return (
        f"the Ray cluster at {address} is unavailable: {reason}\n"
        f"Check that `ray status` answers there, or {_without(address)} to use this machine"
    )


def _without(address: str) -> str:
    """How this machine is used instead. `address` is that of RAY_ADDRESS where no --address was given."""
    return "unset RAY_ADDRESS" if address == os.environ.get("RAY_ADDRESS") else "leave --address out"


def worker_resources(scaling: ScalingSpec) -> dict[str, float]:
    """The resources of one worker: one CPU by default, and one GPU if the pipeline says `gpu: true`."""
    resources = {"CPU": 1.0, **scaling.resources}
    if scaling.gpu:
        resources.setdefault("GPU", 1.0)
    return resources


def _cpus(scaling: ScalingSpec) -> int:
    return int(-(-worker_resources(scaling)["CPU"] * scaling.maximum // 1))


def _reach(address: str) -> None:
    """Fail at once if nothing listens at the address: Ray itself would try for minutes."""
    if address.startswith(("http://", "https://")):
        name = "RAY_ADDRESS" if address == os.environ.get("RAY_ADDRESS") else "--address"
        raise ClusterError(
            f"{name}={address} is the address of a dashboard, to which jobs are submitted (everlearn submit)\n"
            f"Give the address that `ray start --head` printed, such as HEAD:6379, or {_without(address)} to use this "
            "machine"
        )
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if not separator or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ClusterError(
            f"the Ray cluster at {address} cannot be reached: {reason}\n"
            f"Give the address that `ray start --head` printed, or {_without(address)} to use this machine"
        ) from error


def _check(scaling: ScalingSpec) -> None:
    """Fail if this machine lacks the GPUs, instead of waiting for ever. (A remote cluster may grow.)"""
    import ray

    total = ray.cluster_resources()
    for name, amount in worker_resources(scaling).items():
        need = amount * scaling.minimum
        if name == "GPU" and total.get(name, 0) < need:
            raise ClusterError(
                f"{scaling.minimum} worker(s) need {need:g} GPU(s), but this machine has {total.get(name, 0):g}\n"
                "Set scaling.gpu to false, ask for fewer workers, or use a cluster with GPUs (--address)"
            )

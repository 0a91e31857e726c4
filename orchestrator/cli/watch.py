"""`everlearn watch`: repeat `everlearn step`."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

import click

from orchestrator.cli.step import lines, samples_of, turn
from orchestrator.cli.support.command_options import (
    Command,
    Settings,
    Terminated,
    as_arguments,
    file_argument,
    load,
    program,
    set_option,
)
from orchestrator.cli.support.duration import Duration
from orchestrator.cli.support.failure_messages import failure_lines
from orchestrator.cli.support.output import reserved_stdout
from orchestrator.errors import StorageError
from orchestrator.progress.printable import printable_json, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.errors import OrchestratorError
    from orchestrator.updates.run_step import StepResult
    from orchestrator.updates.stream_metrics import MetricsServer
    from orchestrator.updates.wake_events import Alarm, Queue, Webhook
    from pipelines.config.pipeline_errors import DataError
    from pipelines.config.schema import Pipeline

_LAST_PORT = 65535
_WEBHOOK_TOKEN = "EVERLEARN_WEBHOOK_TOKEN"


@click.command("watch", cls=Command, short_help="Repeat `everlearn step` as files arrive for FILE.")
@file_argument()
@set_option
@click.option("--every", type=Duration(), default="5m", show_default=True, help="Time between two steps.")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Number of Ray workers.")
@click.option("--address", metavar="RAY", help="Address of a Ray cluster, as in `everlearn run`.")
@click.option(
    "--metrics",
    metavar="[HOST:]PORT",
    callback=lambda context, option, value: None if value is None else _endpoint(value),
    help="Answer GET /metrics for Prometheus there; without a host only on this machine.",
)
@click.option(
    "--webhook",
    metavar="[HOST:]PORT",
    callback=lambda context, option, value: None if value is None else _endpoint(value),
    help="A POST there starts a step at once. With $EVERLEARN_WEBHOOK_TOKEN, it must send this token.",
)
@click.option("--queue", metavar="URL", help="A message of this SQS queue starts a step at once, and is removed.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each step that did something.")
@click.pass_obj
def watch(
    settings: Settings,
    file: str,
    overrides: tuple[str, ...],
    every: float,
    workers: int | None,
    address: str | None,
    metrics: tuple[str, int] | None,
    webhook: tuple[str, int] | None,
    queue: str | None,
    as_json: bool,
) -> None:
    """Repeat `everlearn step` until Ctrl-C or SIGTERM.

    FILE is read again for each step. A step that fails is tried again, after a pause that grows. With too many files
    in quarantine nothing is trained until a person has decided. SIGTERM between two steps ends with status 0.

    An event (--webhook, --queue) only starts a step earlier. The step lists the source itself, and does not rely on
    what the event says.
    """
    settings.interrupted = "Interrupted. Run the same command to continue: what was admitted and trained stays."
    with reserved_stdout() as stdout:
        _watch(settings, file, overrides, every, workers, address, metrics, webhook, queue, as_json=as_json, out=stdout)


def _watch(
    settings: Settings,
    file: str,
    overrides: tuple[str, ...],
    every: float,
    workers: int | None,
    address: str | None,
    metrics: tuple[str, int] | None,
    webhook: tuple[str, int] | None,
    queue: str | None,
    *,
    as_json: bool,
    out: TextIO,
) -> None:
    from orchestrator.updates import watch_loop
    from orchestrator.updates.wake_events import Alarm

    sources = f"{program()} sources {as_arguments(file, overrides)}"
    told: list[Any] = []

    def on_result(result: StepResult) -> None:
        if server is not None:
            # The step has succeeded. If the store still cannot be read, the next step reports it.
            with suppress(StorageError):
                server.stepped(result.outcome, samples_of(file, overrides, result))
        same = told == [result.outcome, result.quarantined]
        told[:] = [result.outcome, result.quarantined]
        if result.outcome in ("nothing-new", "busy") or (same and not result.decided and not result.trained):
            return
        if as_json:
            out.write(printable_json(json.dumps(result.to_json(), ensure_ascii=False)) + "\n")
            out.flush()
            return
        for line in lines(result, sources):
            say(line, file=out)

    def on_failure(error: OrchestratorError | DataError, seconds: float) -> None:
        if server is not None:
            server.failed()
        for line in failure_lines(error):
            say(line, err=True)
        say(f"trying again in {seconds:g} s", err=True)

    def one() -> StepResult:
        with stopping.at_work():
            return turn(settings, file, overrides, workers, address, as_json=True)

    pipeline = load(file, overrides)
    with ExitStack() as open_:
        server = None if metrics is None else open_.enter_context(closing(_metrics_server(metrics, pipeline.name)))
        alarm = Alarm(_settling(pipeline))
        for listener in _listeners(webhook, queue, alarm):
            open_.enter_context(closing(listener))
        stopping = _Stopping(alarm)
        open_.callback(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, stopping))
        say(f"watching, a step every {every:g} s{' and after each event' if webhook or queue else ''}", file=sys.stderr)
        watch_loop.watch(one, every, alarm, on_result=on_result, on_failure=on_failure)


def _endpoint(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > _LAST_PORT:
        raise click.BadParameter("must be a port such as 9464, or an address such as 0.0.0.0:9464 or [::1]:9464")
    return host.strip("[]") or "127.0.0.1", int(port)


def _listeners(webhook: tuple[str, int] | None, queue: str | None, alarm: Alarm) -> Iterator[Webhook | Queue]:
    """What receives events."""
    from orchestrator.updates.wake_events import Queue, Webhook

    if webhook is not None:
        token = os.environ.get(_WEBHOOK_TOKEN) or None
        if token is None and webhook[0] not in ("127.0.0.1", "localhost", "::1"):
            text = f"no token: every client that reaches {webhook[0]} can start steps. Set {_WEBHOOK_TOKEN}"
            say(f"warning: {text}", file=sys.stderr)
        try:
            listening = Webhook(*webhook, alarm.ring, token)
        except (OSError, UnicodeError) as error:
            raise _unusable("--webhook", webhook, error) from None
        say(f"waiting for events at http://{listening.address}", file=sys.stderr)
        yield listening
    if queue is not None:

        def on_failure(error: StorageError) -> None:
            for line in failure_lines(error):
                say(line, err=True)
            say("trying again; until then steps start at the set times", err=True)

        yield Queue(queue, alarm.ring, on_failure)


def _settling(pipeline: Pipeline) -> float:
    """Seconds after an event until the file that the event names counts as complete."""
    from pipelines.config.sections.source_section import seconds_of

    source = pipeline.stream.source
    age = None if source is None or source.is_topic else source.ready.age
    return 0.0 if age is None else seconds_of(age)


def _unusable(option: str, where: tuple[str, int], error: OSError | UnicodeError) -> click.UsageError:
    host = f"[{where[0]}]" if ":" in where[0] else where[0]
    # A name that cannot be encoded is not the name of a host.
    reason = error.strerror or error if isinstance(error, OSError) else "there is no such host"
    return click.UsageError(f"{option} {host}:{where[1]}: cannot be used: {reason}")


def _metrics_server(where: tuple[str, int], pipeline: str) -> MetricsServer:
    from orchestrator.updates.stream_metrics import MetricsServer

    try:
        server = MetricsServer(*where, {"pipeline": pipeline})
    except (OSError, UnicodeError) as error:
        raise _unusable("--metrics", where, error) from None
    say(f"metrics at http://{server.address}/metrics", file=sys.stderr)
    return server


class _Stopping:
    """Handles SIGTERM: ends the loop, and interrupts a step."""

    def __init__(self, alarm: Alarm) -> None:
        self._alarm = alarm
        self._working = False

    def __call__(self, number: int, frame: object) -> None:
        self._alarm.set()
        if self._working:
            raise click.Abort from Terminated()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        self._working = True
        try:
            yield
        finally:
            self._working = False

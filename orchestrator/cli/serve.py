"""`everlearn serve`: the model that a ref names, over HTTP."""

from __future__ import annotations

import json
import signal
import sys
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TextIO

import click

from orchestrator.cli.support.command_options import (
    Command,
    Settings,
    Terminated,
    file_argument,
    load,
    set_option,
)
from orchestrator.cli.support.duration import Duration
from orchestrator.cli.support.output import reserved_stdout
from orchestrator.progress.printable import printable_json, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.serving.ref_follower import ServingEvent
    from pipelines.config.schema import Pipeline

_MIB = 2**20


@click.command("serve", cls=Command, short_help="Answer over HTTP with the model that a ref names.")
@file_argument()
@set_option
@click.option("--ref", default="champion", show_default=True, help="Ref to follow, or first characters of a commit.")
@click.option("--also", multiple=True, metavar="REF", help="Further refs or commits, which a request may name.")
@click.option("--local", is_flag=True, help="One process, without Ray.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0: all.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any free one.")
@click.option(
    "--token-file", type=click.Path(), metavar="PATH", help="File with the token; else $EVERLEARN_SERVE_TOKEN."
)
@click.option("--every", type=Duration(), default="5s", show_default=True, help="Time between two reads of the ref.")
@click.option(
    "--max-body", type=click.IntRange(1, 2048), default=16, show_default=True, help="Largest request, in MiB."
)
@click.option("--replicas", type=click.IntRange(1), default=1, show_default=True, help="On Ray: number of replicas.")
@click.option(
    "--batch",
    type=click.IntRange(1, 1024),
    default=16,
    show_default=True,
    help="On Ray: most requests that a replica answers together.",
)
@click.option("--address", metavar="RAY", help="Address of a Ray cluster, as in `everlearn run`.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each event.")
@click.pass_obj
def serve(
    settings: Settings,
    file: str,
    overrides: tuple[str, ...],
    ref: str,
    also: tuple[str, ...],
    local: bool,
    host: str,
    port: int,
    token_file: str | None,
    every: float,
    max_body: int,
    replicas: int,
    batch: int,
    address: str | None,
    as_json: bool,
) -> None:
    """Answer over HTTP with the model that a ref of FILE's lineage names, and follow the ref.

    After a promotion or a rollback the next commit is loaded beside the one that answers, called once to warm up, and
    then replaces it.

    POST /predict takes rows, columns or tensors in JSON, a CSV or a parquet file. A language model takes documents,
    and answers with their likelihood, or a prompt, and answers with its continuation. Each answer comes from one
    commit, which the header everlearn-commit names. /predict?commit=REF uses another served commit (--also), and
    ?experience=N the adapter or head of experience N. GET / says what the model takes; /healthz, /readyz and /metrics
    are for operators. With a token, clients send Authorization: Bearer TOKEN.

    FILE is read once: start the command again after a change of its model. On SIGTERM the server finishes the requests
    that it has begun, and exits with status 0, also while it starts.
    """
    settings.interrupted = "Interrupted."
    from orchestrator.serving.bearer_token import TOKEN, read_token

    token = read_token(token_file)
    ended = None
    with reserved_stdout() as out, _may_end_early():
        pipeline = load(file, overrides, import_code=False)
        if token is None and host not in ("127.0.0.1", "localhost", "::1"):
            say(
                f"warning: no token: every client that reaches {host} is answered. Set {TOKEN} or --token-file",
                err=True,
            )

        def on_event(event: ServingEvent) -> None:
            if as_json:
                _line({name: value for name, value in asdict(event).items() if value is not None}, out)
            else:
                say(f"{event.kind:<9}{event.text}", err=True)

        def on_start(port: int) -> None:
            at = f"http://{f'[{host}]' if ':' in host else host}:{port}"
            if as_json:
                _line({"kind": "listening", "address": at, "pipeline": pipeline.name, "ref": ref}, out)
            else:
                say(f"serving  {pipeline.name}, ref {ref}, at {at}", err=True)

        _check_words(pipeline, (ref, *also), local)
        if local:
            ended = _here(pipeline, ref, also, host, port, every, token, max_body * _MIB, on_event, on_start)
        else:
            from orchestrator.serving.ray_deployment import RaySettings
            from orchestrator.serving.ray_server import serve_on_ray

            ended = serve_on_ray(
                pipeline,
                RaySettings(
                    ref, every, replicas, batch, most_bytes=max_body * _MIB, token_file=token_file, also=list(also)
                ),
                address=address,
                host=host,
                port=port,
                verbose=settings.verbose,
                on_event=on_event,
                on_start=on_start,
            )
    if ended == signal.SIGINT:
        raise KeyboardInterrupt


@contextmanager
def _may_end_early() -> Iterator[None]:
    """SIGTERM before the server handles it ends the block: nothing was begun that would have to end."""

    def end(number: int, frame: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except (Terminated, SystemExit) as stop:
        # Ray, once it has started, raises SystemExit.
        if isinstance(stop, SystemExit) and stop.code != signal.SIGTERM:
            raise
        say("ended    before it served: SIGTERM", err=True)
    finally:
        signal.signal(signal.SIGTERM, before)


def _check_words(pipeline: Pipeline, words: tuple[str, ...], local: bool) -> None:
    from orchestrator.errors import StorageError
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.serving.ref_follower import check_words
    from orchestrator.storage.open_by_uri import open_store

    try:
        check_words(Lineage(open_store(pipeline.storage), pipeline.name), words)
    except StorageError:
        # On Ray other machines read the store, which this machine may not reach; the replicas report its errors.
        if local:
            raise


def _here(
    pipeline: Pipeline,
    ref: str,
    also: tuple[str, ...],
    host: str,
    port: int,
    every: float,
    token: str | None,
    most_bytes: int,
    on_event: Callable[[ServingEvent], object],
    on_start: Callable[[int], object],
) -> int | None:
    from orchestrator.checkpointing.shared_weights import SharedWeights
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.serving.http_service import Limits
    from orchestrator.serving.local_server import Serving, listening, serve_locally
    from orchestrator.serving.ref_follower import ref_reader
    from orchestrator.serving.served_set import ServedSet
    from orchestrator.storage.open_by_uri import open_store

    lineage = Lineage(open_store(pipeline.storage), pipeline.name)
    models = ServedSet(SharedWeights(pipeline).load, ref, also)
    where = listening(host, port)
    return serve_locally(
        Serving(models, pipeline.name, every, Limits(token, most_bytes)),
        lambda word: ref_reader(lineage, word),
        where,
        on_event=on_event,
        on_error=_log,
        on_start=lambda: on_start(where.getsockname()[1]),
    )


def _line(document: dict[str, Any], out: TextIO) -> None:
    out.write(printable_json(json.dumps(document, ensure_ascii=False)) + "\n")
    out.flush()


def _log(error: Exception) -> None:
    """Log what failed in a request, with its traceback, which the client does not get."""
    import traceback

    from orchestrator.redact import redact

    say(redact("".join(traceback.format_exception(error)).rstrip()), file=sys.stderr)

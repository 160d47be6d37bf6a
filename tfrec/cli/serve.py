"""`tfrec serve`: a server with TF Serving's routes, for development and machines without docker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec.cli.load_tensorflow import load_tensorflow


def serve(  # noqa: PLR0913  a command's options are its parameters
    folders: Annotated[list[Path], typer.Argument(metavar="saved_models/NAME…", help="Model folders.")],
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine's need TLS and a token or client CA.")
    ] = "127.0.0.1",
    rest_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the REST API; 0 for any free port.")] = 8501,
    grpc_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the gRPC services; 0 for any free port.")
    ] = 8500,
    max_batch_rows: Annotated[int, typer.Option(min=1, help="Most rows in one call of the model.")] = 64,
    max_waiting: Annotated[
        int, typer.Option(min=1, help="Most requests waiting; further ones are answered 503.")
    ] = 1000,
    max_body_mb: Annotated[int, typer.Option(min=1, help="Largest request in megabytes.")] = 16,
    poll_seconds: Annotated[float, typer.Option(help="Seconds between two looks for new versions.")] = 2.0,
    grace_seconds: Annotated[
        float, typer.Option(help="Seconds that requests in flight get to finish at shutdown.")
    ] = 10.0,
    tls_cert: Annotated[Path | None, typer.Option(help="PEM file with the server's certificate chain.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file with the certificate's key.")] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="File with one token a line; clients must send one of them.")
    ] = None,
    client_ca: Annotated[
        Path | None, typer.Option(help="PEM file with the CA that must have signed clients' certificates (mutual TLS).")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Name that REST clients or a proxy may use as the Host; may be repeated.")
    ] = None,
    request_log: Annotated[
        Path | None, typer.Option(help="Folder for a log of requests, under pseudonyms. Default: no log.")
    ] = None,
    request_log_key: Annotated[
        Path | None, typer.Option(help="Key file of the pseudonyms. Default: the key in $TFREC_REQUEST_LOG_KEY.")
    ] = None,
    request_log_rate: Annotated[float, typer.Option(help="Share of the requests that is logged.")] = 0.01,
    request_log_days: Annotated[int, typer.Option(help="Days after which a line of the log is gone.")] = 30,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen beyond this machine without TLS, tokens or client certificates.")
    ] = False,
) -> None:
    """Serve models over REST and gRPC until stopped. New versions are loaded as they appear."""
    from tfrec.errors import InvalidInput, Unavailable

    load_tensorflow()
    try:
        from tfrec.serving.local.access import Access
        from tfrec.serving.local.limits import Limits
        from tfrec.serving.local.options import ServerOptions
        from tfrec.serving.local.request_log_options import RequestLogOptions
        from tfrec.serving.local.server import ModelServer
        from tfrec.serving.local.server import serve as serve_models
    except ImportError as error:
        raise Unavailable(f"{error}. Serving needs: pip install 'tfrec-bert[serve]'") from None

    def print_addresses(server: ModelServer) -> None:
        for name, model in server.models.items():
            typer.echo(f"{name}: version {', '.join(map(str, sorted(model.loaded)))}")
        scheme = "https" if tls_cert else "http"
        typer.echo(f"REST on {scheme}://{host}:{server.rest_port}/v1/models/NAME, gRPC on {host}:{server.grpc_port}")

    limits = Limits(max_batch_rows=max_batch_rows, max_waiting=max_waiting, max_body_bytes=max_body_mb * 2**20)
    if request_log_key and not request_log:
        raise InvalidInput("Expected --request-log FOLDER with --request-log-key: there is no log otherwise.")
    options = ServerOptions(
        host,
        rest_port,
        grpc_port,
        poll_seconds,
        grace_seconds,
        limits=limits,
        access=Access(tls_cert, tls_key, token_file, client_ca, insecure),
        allowed_hosts=tuple(allow_host or ()),
        request_log=RequestLogOptions(request_log, request_log_key, request_log_rate, request_log_days)
        if request_log
        else None,
    )
    serve_models(folders, options, print_addresses)

"""The verb `serve`, which answers requests with a policy."""

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfdqn.cli.arguments import finite, require_supported_platform, say_on_stderr
from tfdqn.cli.phase_line import PhaseLine
from tfdqn.system.signals import end_start, interruptions

if TYPE_CHECKING:
    import socket

    from tfdqn.serving.options import Options

_JOIN_SECONDS = 1.0
serving = typer.Typer()

ModelName = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="name of the model in URLs", show_default="the run's name")
]
Versions = Annotated[str, typer.Option(metavar="WHICH", help="versions to serve: latest:N, all, or specific:1,3")]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="NAME=VERSION", help="alias for a version in URLs; may be repeated"),
]
MostRows = Annotated[
    int, typer.Option(min=1, metavar="ROWS", help="maximum number of observations in one call of the policy")
]
ApiKeyFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="file of API keys, one per line; each request must send one of them", show_default=False
    ),
]
TlsCertificate = Annotated[
    Path | None, typer.Option(metavar="FILE", help="certificate chain for TLS, as PEM", show_default=False)
]
TlsKey = Annotated[
    Path | None, typer.Option(metavar="FILE", help="the certificate's private key, as PEM", show_default=False)
]
DrainSeconds = Annotated[
    float,
    typer.Option(
        min=0, metavar="N", help="seconds to report 'not ready' after SIGTERM, before closing the port", callback=finite
    ),
]
Insecure = Annotated[bool, typer.Option("--insecure", help="listen beyond loopback without API keys or TLS")]


@serving.command()
def serve(
    exports: Annotated[
        Path, typer.Argument(metavar="EXPORTS", help="a run directory, or a directory of exported versions")
    ],
    host: Annotated[
        str, typer.Option(metavar="HOST", help="address to listen on; other hosts cannot reach a loopback address")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="port to listen on; 0 picks a free one")
    ] = 8501,
    name: ModelName = None,
    versions: Versions = "latest:1",
    labels: Labels = None,
    max_batch_size: MostRows = 1024,
    api_key_file: ApiKeyFile = None,
    tls_cert: TlsCertificate = None,
    tls_key: TlsKey = None,
    drain_seconds: DrainSeconds = 0.0,
    insecure: Insecure = False,
) -> None:
    """Serve a policy over HTTP, with TensorFlow Serving's REST API. New versions are picked up while it runs."""
    require_supported_platform()
    from tfdqn.exporting.tf_serving_files import model_name
    from tfdqn.exporting.versions import exports_folder
    from tfdqn.serving.access import read_access
    from tfdqn.serving.options import Options, read_labels, read_policy, require_chosen, require_labelled
    from tfdqn.system.addresses import listen

    folder = exports_folder(exports)
    model = model_name(folder, name)
    access = read_access(api_key_file, tls_cert, tls_key, say_on_stderr)
    options = Options(access, read_policy(versions), read_labels(labels or []), drain_seconds, max_batch_size)
    require_chosen(options.versions, folder, say_on_stderr)
    require_labelled(options, folder)
    _choose_onednn(folder, options)
    with listen(host, port) as listening:
        if not insecure:
            access.require_beyond_loopback(listening.getsockname()[0])
        _serve_on(listening, folder, model, options)
    _end_if_held()


def _choose_onednn(folder: Path, options: "Options") -> None:
    """Has TensorFlow compute by oneDNN if a version that is served first may have convolutions."""
    from tfdqn.config.network import may_convolve
    from tfdqn.exporting.versions import complete_versions, network_section
    from tfdqn.system.before_tensorflow import use_onednn

    first = options.versions.chosen(complete_versions(folder))[: options.versions.most]
    if any(may_convolve(network_section(folder / str(each))) for each in first):
        use_onednn()


def _serve_on(listening: "socket.socket", folder: Path, model: str, options: "Options") -> None:
    """Serves at an open port until a signal; until it does, a terminal shows that it is loading, a log has a line."""
    serves, loading = threading.Event(), PhaseLine("loading")

    def say(line: str) -> None:
        loading.close()
        typer.echo(line)

    def acknowledge() -> None:
        if serves.is_set():
            typer.echo("Stopping.")
        else:
            end_start(lambda: say("Stopped while loading."))

    with interruptions(lambda: os._exit(130), acknowledge) as interrupted, loading:
        if not (loading.is_shown and sys.stdout.isatty()):  # stdout may be a log although stderr is a terminal
            address = options.access.reached_at(*listening.getsockname()[:2])
            with suppress(OSError):  # nobody reads the log any more; the policy is served all the same
                typer.echo(f"Loading {folder}. Requests to {address} wait until it serves.")
        # Imported late: this takes seconds; mistakes are reported before, and signals are already handled.
        from tfdqn.serving.server import serve as run

        run(folder, model, listening, options, say, interrupted, serves.set)


def _end_if_held() -> None:
    """Ends the process if a thread doesn't end in time: Python would wait for it, even in a call that never returns."""
    others = [each for each in threading.enumerate() if not each.daemon and each is not threading.current_thread()]
    for each in others:
        each.join(_JOIN_SECONDS)
    if any(each.is_alive() for each in others):
        sys.stdout.flush()
        os._exit(0)

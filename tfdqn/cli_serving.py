"""The command line's verb that serves an exported policy."""

import os
from pathlib import Path
from typing import Annotated

import typer

from tfdqn.interruptions import interruptions
from tfdqn.platform_check import require_supported_platform
from tfdqn.serving.address import exports_folder, listen, model_name

serving = typer.Typer()


@serving.command()
def serve(
    exports: Annotated[Path, typer.Argument(metavar="EXPORTS", help="a run, or a folder of versions")],
    host: Annotated[
        str, typer.Option(help="to listen at; other hosts reach none that is loopback")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one")] = 8501,
    name: Annotated[
        str | None, typer.Option(help="the model's; the run's if not given", show_default=False)
    ] = None,
) -> None:
    """Answer HTTP requests with a policy, as TensorFlow Serving does; newer versions are taken up."""
    require_supported_platform()
    folder = exports_folder(exports)
    model = model_name(folder, name)
    with listen(host, port) as listening, interruptions(_end_at_once) as interrupted:
        # Its import takes seconds: mistakes are said before it, and a signal waits for it.
        from tfdqn.serving.server import serve as run

        run(folder, model, listening, typer.echo, interrupted)


def _end_at_once() -> None:
    os._exit(130)

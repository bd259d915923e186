"""The command line's verb that writes the files by which a platform runs a job."""

from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace

from tfdqn.cli.arguments import (
    Actors,
    ConfigFile,
    Overrides,
    ParameterServers,
    ReplayServers,
    Workers,
    installed_version,
    load_job,
)
from tfdqn.launch.manifests.platforms import Platform

manifests = typer.Typer()


@manifests.command()
def manifest(
    target: Annotated[Platform, typer.Argument(metavar="TARGET", help=f"one of {', '.join(Platform)}")],
    config: ConfigFile,
    overrides: Overrides = None,
    actors: Actors = None,
    replay_servers: ReplayServers = None,
    workers: Workers = None,
    parameter_servers: ParameterServers = None,
    evaluator: Annotated[bool, typer.Option(help="run a process that evaluates the policy")] = True,
    gpus: Annotated[
        int, typer.Option(min=0, metavar="N", help="GPUs for each process that computes gradients")
    ] = 0,
    image: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="container image",
            show_default="tfdqn:VERSION, or tfdqn:VERSION-cuda with --gpus",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            help="output directory",
            show_default="launchers/<CONFIG>/<TARGET>",
        ),
    ] = None,
) -> None:
    """Write the files with which a platform runs a distributed job."""
    from tfdqn.launch.manifests.job_spec import JobSpec, check_image, dns_label
    from tfdqn.launch.manifests.render import render
    from tfdqn.launch.manifests.write import write_files

    if image:
        check_image(image)
    resolved, _ = load_job(config, overrides, actors, replay_servers, workers, parameter_servers)
    wanted = JobSpec(
        name=dns_label(config.stem),
        config=replace(resolved, learner=replace(resolved.learner, min_gpus=gpus)) if gpus else resolved,
        image=image or f"tfdqn:{installed_version()}{'-cuda' if gpus else ''}",
        has_evaluator=evaluator,
        gpus=gpus,
    )
    files = render(target, wanted)
    folder = output or Path("launchers") / config.stem / str(target)
    for path in write_files(folder, files):
        typer.echo(path)

"""The verbs for whole distributed jobs: `launch`, `host`, `inspect` and `manifest`."""

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfdqn.cli.arguments import (
    Actors,
    ConfigFile,
    Overrides,
    ParameterServers,
    ReplayServers,
    RunDirectory,
    Workers,
    command_to_resume,
    installed_version,
    load_config,
    load_job,
    require_supported_platform,
    say_on_stderr,
)
from tfdqn.cli.default_directories import default_job_name, default_run_dir
from tfdqn.cli.phase_line import starting
from tfdqn.cli.resuming import overrides_beyond, resumption_is_said, to_go_on
from tfdqn.config import Config
from tfdqn.errors import STOPPED_STATUS, PackageMissingError
from tfdqn.launch.manifests.platforms import Platform

if TYPE_CHECKING:
    from tfdqn.launch.manifests.job_spec import JobSpec
    from tfdqn.storage.run_directory import RunDir

PoolRoles = Annotated[
    list[str] | None,
    typer.Option(
        metavar="POOL=ROLE,...", help="roles that the machines of a pool run; repeat for each pool", show_default=False
    ),
]
Evaluator = Annotated[bool, typer.Option(help="run a process that evaluates the policy")]
Image = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="container image", show_default="tfdqn:VERSION, or tfdqn:VERSION-cuda with --gpus"
    ),
]
ManifestFolder = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="DIR",
        help="output directory",
        show_default="launchers/<CONFIG>/<PLATFORM>; for a run's config.toml, launchers/<RUN>/<PLATFORM>",
    ),
]

jobs = typer.Typer()


@jobs.command()
def launch(
    config: ConfigFile,
    overrides: Overrides = None,
    actors: Actors = None,
    replay_servers: ReplayServers = None,
    workers: Workers = None,
    parameter_servers: ParameterServers = None,
    evaluator: Evaluator = True,
    run_dir: RunDirectory = None,
    prefix: Annotated[
        bool, typer.Option("--prefix", help="also show each process's output, prefixed by its name")
    ] = False,
) -> None:
    """Train with many processes on this host. An existing run is resumed."""
    require_supported_platform()
    from tfdqn.storage.run_directory import RunDir

    unused: dict[str, str] = {}
    resolved, given = load_job(config, overrides, actors, replay_servers, workers, parameter_servers, unused)
    run = RunDir(run_dir or default_run_dir(config, resolved, say_on_stderr))
    run.refuse_unused(unused, say_on_stderr)

    options = [] if evaluator else ["--no-evaluator"]
    again = command_to_resume("launch", config, [*given, *options], run.path)
    with starting(again):
        from tfdqn.agents.registration import require_registered
        from tfdqn.cli import terminal
        from tfdqn.cli.live_table import JobView
        from tfdqn.launch.local_job import launch as run_job
        from tfdqn.storage.failures import would_fail_again
        from tfdqn.tracking.systems import require_systems
        from tfdqn.training.prerequisites import require_fitting_task

        require_fitting_task(resolved)
        require_registered(resolved)
        require_systems(resolved.tracking)
    said = resumption_is_said(again, lambda: "" if would_fail_again(run) else to_go_on(run, again))
    with said, JobView(resolved.stop.env_steps, run.process_logs if prefix else None) as view:
        outcome = run_job(resolved, run, view, has_evaluator=evaluator)
    if outcome.summary is not None:
        beyond = [*overrides_beyond(given, outcome.summary, resolved, run), *options]
        with suppress(OSError):  # the terminal may have been closed
            terminal.print_summary(outcome.summary)
            typer.echo(f"To resume beyond this:\n{command_to_resume('launch', config, beyond, run.path)}")
        return
    view.say(f"{_how_it_was_left(run, resolved, outcome.is_saved)} {to_go_on(run, again)}")
    if not outcome.is_saved:
        raise typer.Exit(STOPPED_STATUS)


def _how_it_was_left(run: "RunDir", config: Config, is_saved: bool) -> str:
    """What was saved of a job that was stopped, in words; `is_saved`: by its learner, when it was told to end."""
    from tfdqn.storage.checkpoints import CheckpointManager

    newest = CheckpointManager(run.checkpoints).latest(names=())
    if newest is None:
        return "Nothing was saved yet."
    at = f"{newest.counters.env_steps:,} of {config.stop.env_steps:,} environment steps"
    return f"Saved at {at}." if is_saved else f"The learner could not save; the last checkpoint is at {at}."


@jobs.command()
def host(config: ConfigFile, overrides: Overrides = None, pool: PoolRoles = None, run_dir: RunDirectory = None) -> None:
    """Run this machine's share of a multi-machine job. TF_CONFIG or CLUSTER_SPEC lists the machines."""
    require_supported_platform()
    from tfdqn.cluster.environment import machines_of_environment
    from tfdqn.cluster.placement import read_pools
    from tfdqn.storage.run_directory import RunDir

    unused: dict[str, str] = {}
    resolved = load_config(config, overrides or (), unused)
    pools, machines = read_pools(pool or ()), machines_of_environment()
    run = RunDir(run_dir or default_run_dir(config, resolved, say_on_stderr))
    run.refuse_unused(unused, say_on_stderr)

    from tfdqn.tasks.registry import check_task

    with suppress(PackageMissingError):  # a machine without environments may have none of their packages
        check_task(resolved.task)

    from tfdqn.cli.live_table import JobView
    from tfdqn.launch.local_job import launch_share

    with JobView(resolved.stop.env_steps, run.machine(str(machines.this)).process_logs) as view:
        if launch_share(resolved, run, view, pools, machines):
            return
    view.say("stopped before the job was over; the same command resumes it")
    raise typer.Exit(STOPPED_STATUS)


@jobs.command()
def inspect(
    target: Annotated[
        str,
        typer.Argument(
            metavar="RUN|SEEDS|STUDY|ADDRESS",
            help="directory of a run, of seeds or of a study, or a learner's host:port",
        ),
    ],
    watch: Annotated[bool, typer.Option("--watch", help="refresh every second, until training has ended")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, one line per report")] = False,
) -> None:
    """Show the state of a run, a job, seeds or a study.

    If no learner answers, shows what is in the run directory, or in each run of a folder of seeds.
    """
    from tfdqn.cli import inspect_view
    from tfdqn.launch.inspector import Inspector
    from tfdqn.storage.run_folders import SeedsFolder, is_seeds_folder
    from tfdqn.tuning.study_folder import StudyFolder, is_study

    if is_study(target):
        from tfdqn.cli import study_view
        from tfdqn.tuning.study_report import StudyReader

        reader = StudyReader(StudyFolder(target))
        inspect_view.show(reader.report, study_view.rendered, reader.is_over, watch, as_json)
    elif is_seeds_folder(target):
        from tfdqn.cli import seeds
        from tfdqn.tuning.seed_results import is_over, seeds_report

        folder = SeedsFolder(target)
        reported, rendered = partial(seeds_report, folder), partial(seeds.rendered_report, folder)
        inspect_view.show(reported, rendered, partial(is_over, folder), watch, as_json)
    else:
        inspector = Inspector(target)
        inspect_view.show(inspector.report, inspect_view.rendered, inspector.is_over, watch, as_json)


@jobs.command()
def manifest(
    target: Annotated[
        Platform, typer.Argument(metavar="PLATFORM", help=f"one of {', '.join(Platform)}; tfjob is legacy")
    ],
    config: ConfigFile,
    overrides: Overrides = None,
    actors: Actors = None,
    replay_servers: ReplayServers = None,
    workers: Workers = None,
    parameter_servers: ParameterServers = None,
    evaluator: Evaluator = True,
    gpus: Annotated[int, typer.Option(min=0, metavar="N", help="GPUs for each process that computes gradients")] = 0,
    image: Image = None,
    queue: Annotated[
        str, typer.Option(metavar="NAME", help="Kueue's local queue, for jobset", show_default=False)
    ] = "",
    output: ManifestFolder = None,
) -> None:
    """Write the files that a platform needs to run a distributed job."""
    from tfdqn.launch.manifests.job_spec import JobSpec, check_image, dns_label, with_gpus
    from tfdqn.launch.manifests.render import render, write_files

    if image:
        check_image(image)
    resolved, _ = load_job(config, overrides, actors, replay_servers, workers, parameter_servers)
    name = default_job_name(config, resolved)
    spec = JobSpec(
        name=dns_label(name),
        config=resolved,
        image=image or f"tfdqn:{installed_version()}",
        cuda_image="" if image else f"tfdqn:{installed_version()}-cuda",
        has_evaluator=evaluator,
        queue=queue,
    )
    spec = with_gpus(spec, gpus) if gpus else spec
    files = render(target, spec)

    from tfdqn.tasks.registry import check_task

    with suppress(PackageMissingError):  # the image may have the package
        check_task(resolved.task)
    folder = output or Path("launchers") / name / str(target)
    paths = write_files(target, folder, files)
    _warn_of_own_modules(target, spec)
    for path in paths:
        typer.echo(path)
    if spec.name != name:
        say_on_stderr(f"the job is named {spec.name}")
    say_on_stderr(target.start(folder, spec.name))  # stdout is the list of files


def _warn_of_own_modules(target: Platform, spec: "JobSpec") -> None:
    """Says which modules of the user's the job needs, and what is to be done about them."""
    where = f"the image {spec.container_image} must contain it (docs/image.md)"
    if target is Platform.SLURM:
        where = "submit from its folder, or install it on every node"
    for key, module in spec.own_modules:
        say_on_stderr(f"warning: {key} needs the module {module}: {where}")

"""The command line's verbs for jobs of many processes."""

import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

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
    default_run_dir,
    load_job,
    require_supported_platform,
)
from tfdqn.cluster.checks import check_topology
from tfdqn.cluster.environment import topology_of_environment
from tfdqn.cluster.roles import ProcessId, Role
from tfdqn.cluster.topology import Topology, read_topology
from tfdqn.config import Config, Health
from tfdqn.errors import STOPPED_STATUS, ConfigError

jobs = typer.Typer()


@jobs.command()
def launch(
    config: ConfigFile,
    overrides: Overrides = None,
    actors: Actors = None,
    replay_servers: ReplayServers = None,
    workers: Workers = None,
    parameter_servers: ParameterServers = None,
    evaluator: Annotated[bool, typer.Option(help="whether a process evaluates")] = True,
    run_dir: RunDirectory = None,
    prefix: Annotated[bool, typer.Option("--prefix", help="show what the processes print, too")] = False,
) -> None:
    """Learn a task with many processes on this host; on an existing run, resume it."""
    require_supported_platform()
    from tfdqn.storage.run_directory import RunDir

    resolved, given = load_job(config, overrides, actors, replay_servers, workers, parameter_servers)
    path = run_dir or default_run_dir(config, resolved)

    from tfdqn.cli import terminal
    from tfdqn.cli.live_table import JobView
    from tfdqn.launch.local_job import launch as run_job

    with JobView(resolved.stop.env_steps, RunDir(path).process_logs if prefix else None) as view:
        outcome = run_job(resolved, RunDir(path), view, has_evaluator=evaluator)
    if outcome.summary is not None:
        with suppress(OSError):  # a terminal that was closed meanwhile
            terminal.print_summary(outcome.summary)
        return
    if view.last_figures:
        view.say(f"stopped at {view.last_figures}")
    if not any(path.glob("checkpoints/[0-9]*")):
        saved = "Nothing was learned yet."
    else:
        saved = "Saved." if outcome.is_saved else "The learner could not save: its last checkpoint stands."
    options = [] if evaluator else ["--no-evaluator"]
    view.say(f"{saved} To resume: {command_to_resume('launch', config, [*given, *options], path)}")


@jobs.command()
def host(
    config: ConfigFile,
    overrides: Overrides = None,
    pool: Annotated[
        list[str] | None,
        typer.Option(
            metavar="POOL=ROLE,...",
            help="which roles the machines of a pool of the platform's play; once for each pool",
            show_default=False,
        ),
    ] = None,
    run_dir: RunDirectory = None,
) -> None:
    """Be one machine of a job on many, as TF_CONFIG or CLUSTER_SPEC names them: run all of its processes."""
    require_supported_platform()
    from tfdqn.cluster.environment import machines_of_environment
    from tfdqn.cluster.placement import read_pools
    from tfdqn.config import toml
    from tfdqn.storage.run_directory import RunDir

    resolved = toml.load(config, overrides or ())
    pools, machines = read_pools(pool or ()), machines_of_environment()
    run = RunDir(run_dir or default_run_dir(config, resolved))

    from tfdqn.cli.live_table import JobView
    from tfdqn.launch.local_job import launch_share

    with JobView(resolved.stop.env_steps, run.machine(str(machines.this)).process_logs) as view:
        if launch_share(resolved, run, view, pools, machines):
            return
    view.say("stopped before the job was over; the same command goes on with it")
    raise typer.Exit(STOPPED_STATUS)


@jobs.command("run")
def run_role(
    role: Annotated[Role, typer.Argument(metavar="ROLE", help=f"one of {', '.join(Role)}")],
    config: ConfigFile,
    overrides: Overrides = None,
    cluster: Annotated[
        Path | None, typer.Option(metavar="FILE", help="where every process is; TF_CONFIG if not given")
    ] = None,
    task: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="I",
            help="which of the role's processes this is; as TF_CONFIG says, or 0, if not given",
            show_default=False,
        ),
    ] = None,
    places: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="be the first of the role's processes that none on this host is; they hold their places in DIR",
        ),
    ] = None,
    run_dir: RunDirectory = None,
    stopped_status: Annotated[
        int,
        typer.Option(
            min=0, max=255, metavar="N", help="with which it ends where it is told to before the job is over"
        ),
    ] = 0,
) -> None:
    """Be one process of a job of many."""
    require_supported_platform()
    from tfdqn.config import toml
    from tfdqn.system.signals import end_at_once, interruptions

    resolved = toml.load(config, overrides or ())
    topology, process_id = _place_in_job(resolved, cluster, role, task)
    if places is not None and task is not None:
        raise ConfigError(f"--task {task} says which process this is, and --places finds it out: give one")
    path = run_dir or default_run_dir(config, resolved)
    with interruptions(end_at_once) as interrupted:
        if places is not None:
            from tfdqn.cluster.index_lease import lease_index

            found = lease_index(places, role, topology.count(role), typer.echo, interrupted)
            if found is None:
                raise typer.Exit(stopped_status)
            process_id = found

        from tfdqn.roles import entry
        from tfdqn.roles.context import Job

        job = Job(resolved, topology, process_id, path, typer.echo, interrupted, stopped_status)
        if not entry.play(job):
            raise typer.Exit(stopped_status)


def _place_in_job(
    config: Config, cluster: Path | None, role: Role, task: int | None
) -> tuple[Topology, ProcessId]:
    """By the cluster file, or else by TF_CONFIG, which must agree with what was asked for. Raises ConfigError."""
    if cluster is not None:
        topology, process_id, origin = read_topology(cluster), ProcessId(role, task or 0), str(cluster)
    else:
        (topology, process_id), origin = topology_of_environment(), "TF_CONFIG"
        if process_id.role is not role or task not in (None, process_id.index):
            raise ConfigError(f"TF_CONFIG makes this process {process_id}, not {ProcessId(role, task or 0)}")
    topology.require(process_id, origin)
    check_topology(config, topology, origin)
    return topology, process_id


@jobs.command()
def health(
    role: Annotated[
        Role | None,
        typer.Argument(metavar="[ROLE]", help=f"{', '.join(Role)}; every process if not given"),
    ] = None,
    task: Annotated[int, typer.Option(min=0, metavar="I", help="which of its role")] = 0,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="the run that was launched on this host, if not by a `tfdqn run` of its own"
        ),
    ] = None,
    within: Annotated[
        float, typer.Option(min=0.0, metavar="SECONDS", help="an older sign of life is none")
    ] = Health().dead_after_seconds,
) -> None:
    """Say whether a process of this host lives, or all that give signs of life: status 0, or 1 and why."""
    from tfdqn.coordination.health_check import health_of, health_of_all
    from tfdqn.storage.run_directory import RunDir

    folder = None if run_dir is None else RunDir(run_dir).begun().heartbeat_of_command
    found = (
        health_of_all(folder, within) if role is None else [health_of(ProcessId(role, task), folder, within)]
    )
    for each in found:
        typer.echo(each.line)
    raise typer.Exit(not all(each.is_well for each in found))


@jobs.command()
def inspect(
    target: Annotated[
        str, typer.Argument(metavar="RUN|ADDRESS", help="a run's directory, or host:port of a job's learner")
    ],
    watch: Annotated[bool, typer.Option("--watch", help="show it anew every second")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, a line each time")] = False,
) -> None:
    """Show how a job of many processes stands, or how a run was left."""
    import msgspec

    from tfdqn.launch.inspector import Inspector

    inspector = Inspector(target)
    if as_json:
        typer.echo(msgspec.json.encode(inspector.report()))
        while watch:
            time.sleep(1.0)
            typer.echo(msgspec.json.encode(inspector.report()))
        return
    from tfdqn.cli import inspect_view

    if watch:
        inspect_view.watch(inspector)
    else:
        inspect_view.print_report(inspector.report())

"""The verbs for one process of a distributed job: `run` and `health`."""

import math
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from tfdqn.cli.arguments import (
    ConfigFile,
    Overrides,
    RunDirectory,
    finite,
    load_config,
    require_supported_platform,
    say_on_stderr,
)
from tfdqn.cli.default_directories import default_run_dir
from tfdqn.cluster.roles import ProcessId, Role
from tfdqn.config import Health
from tfdqn.errors import ConfigError

if TYPE_CHECKING:  # late: slow to import
    from tfdqn.storage.run_directory import RunDir

ClusterFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="file with the address of every process", show_default="TF_CONFIG")
]
Index = Annotated[
    int | None,
    typer.Option(min=0, metavar="I", help="index of this process within its role", show_default="from TF_CONFIG, or 0"),
]
Within = Annotated[
    float, typer.Option("--within", min=0.0, metavar="SECONDS", help="maximum age of a heartbeat", callback=finite)
]
_DEAD_AFTER_SECONDS = Health().dead_after_seconds
FormerIndex = Annotated[int | None, typer.Option("--task", min=0, hidden=True)]  # older manifests have it
Leases = Annotated[
    Path | None,
    typer.Option(
        "--leases",
        metavar="DIR",
        help="take the lowest index that no other process on this host holds; DIR keeps the leases",
    ),
]
FormerLeases = Annotated[Path | None, typer.Option("--places", hidden=True)]  # older manifests have it
StoppedStatus = Annotated[
    int, typer.Option(min=0, max=255, metavar="N", help="exit status if stopped before the job has finished")
]

processes = typer.Typer()


@processes.command("run")
def run_role(
    role: Annotated[Role, typer.Argument(metavar="ROLE", help=f"one of {', '.join(Role)}")],
    config: ConfigFile,
    overrides: Overrides = None,
    cluster: ClusterFile = None,
    index: Index = None,
    leases: Leases = None,
    run_dir: RunDirectory = None,
    stopped_status: StoppedStatus = 0,
    task: FormerIndex = None,
    places: FormerLeases = None,
) -> None:
    """Run one process of a distributed job."""
    require_supported_platform()
    from tfdqn.cluster.environment import process_in_job
    from tfdqn.system.signals import end_at_once, end_start, interruptions

    resolved = load_config(config, overrides or (), unused={})  # `launch` or `manifest` has checked for unused keys
    index = task if index is None else index
    leases = places if leases is None else leases
    topology, process_id = process_in_job(resolved, cluster, role, index)
    if leases is not None and index is not None:
        raise ConfigError(f"--index {index} and --leases both say which process this is: give only one")
    path = run_dir or default_run_dir(config, resolved, say_on_stderr)
    has_begun, has_index = Event(), leases is None

    def acknowledge() -> None:
        if has_begun.is_set():
            typer.echo("stopping")
        else:
            end_start(lambda: _clear_up(process_id, has_index), stopped_status)

    with interruptions(end_at_once, acknowledge) as interrupted:
        if leases is not None:
            from tfdqn.cluster.index_lease import lease_index

            found = lease_index(leases, role, topology.count(role), typer.echo, interrupted)
            if found is None:
                raise typer.Exit(stopped_status)
            process_id, has_index = found, True

        from tfdqn.roles import entry
        from tfdqn.roles.context import RoleContext

        context = RoleContext(resolved, topology, process_id, path, typer.echo, interrupted, stopped_status)
        if not entry.run_role(context, has_begun.set):
            raise typer.Exit(stopped_status)


def _clear_up(process_id: ProcessId, has_index: bool) -> None:
    """Gives back what a process holds that is told to end while it is starting, and says so."""
    from tfdqn.coordination.heartbeat_files import heartbeat_file
    from tfdqn.storage.locks import release_all

    release_all()
    if has_index:  # else the heartbeat may be that of the process which holds the index
        heartbeat_file(process_id).unlink(missing_ok=True)
    typer.echo(f"{process_id} stopped while starting: nothing was lost")


@processes.command()
def health(
    role: Annotated[
        Role | None, typer.Argument(metavar="[ROLE]", help=f"one of {', '.join(Role)}", show_default="every process")
    ] = None,
    index: Annotated[
        int | None, typer.Option(min=0, metavar="I", help="index of the process within its role", show_default="0")
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="directory of a run launched on this host", show_default="processes of `tfdqn run`"
        ),
    ] = None,
    within: Within = _DEAD_AFTER_SECONDS,
    task: FormerIndex = None,
) -> None:
    """Check that processes on this host are alive.

    The exit status is 0 if all are, if `tfdqn train` is training the run, or if the run has finished; else 1.
    """
    from tfdqn.cluster.topology import topology_at
    from tfdqn.coordination.heartbeat_files import health_of, health_of_all
    from tfdqn.storage.run_directory import RunDir

    run = None if run_dir is None else RunDir(run_dir).begun()
    folder = None if run is None else run.heartbeats
    index = (task or 0) if index is None else index
    if role is None:
        since = math.inf
        with suppress(FileNotFoundError):  # no job was launched there
            since = math.inf if run is None else run.cluster_file.stat().st_mtime
        found = health_of_all(folder, within, since)
    else:
        process_id = ProcessId(role, index)
        if run is not None and (topology := topology_at(run.cluster_file)) is not None:
            topology.require(process_id, str(run.cluster_file))
        found = [health_of(process_id, folder, within)]
    is_well = all(each.is_well for each in found)
    if run is not None and not is_well:
        trainer = _lone_trainer(run) if role is None else ""
        if well := trainer or _end(run):
            typer.echo(well)
            return
    for each in found:
        typer.echo(each.line)
    raise typer.Exit(not is_well)


def _lone_trainer(run: "RunDir") -> str:
    """Which process trains the run without a job, and so gives no heartbeat there; "" if none is known to."""
    from tfdqn.storage.trainer import lone_trainer_of

    if (trainer := lone_trainer_of(run)) is None:
        return ""
    unseen = "; whether it still runs can't be seen from here" if trainer.is_running() is None else ""
    return f"{run.path}: `tfdqn train` is training it: {trainer}{unseen}"


def _end(run: "RunDir") -> str:
    """Why the run has finished; "" if it hasn't."""
    from tfdqn.launch.run_report import why_over  # late: slow to import

    why = why_over(run)
    return f"{run.path} has finished: {why}" if why else ""

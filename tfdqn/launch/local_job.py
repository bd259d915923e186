"""`launch`: a whole job on this host, in as many processes as its configuration asks for; `launch_share`: what of a job
on many machines is this one's.
"""

from typing import NamedTuple

from tfdqn.cluster.placement import Machines, Pools, place, topology_on_machines
from tfdqn.cluster.program import Program, local_topology, make_program
from tfdqn.cluster.roles import LEARNER
from tfdqn.cluster.topology import Topology, read_topology
from tfdqn.config import Config
from tfdqn.config.toml import dump
from tfdqn.errors import ConfigError
from tfdqn.launch.gpus import deal_gpus
from tfdqn.launch.supervisor import Supervisor, View
from tfdqn.records import Summary
from tfdqn.storage.atomic_files import write_atomically
from tfdqn.storage.machine_directory import MachineDir
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import read_summary
from tfdqn.system.gpus import visible_gpus
from tfdqn.system.signals import end_at_once, interruptions
from tfdqn.training.stopping import finished_summary


class Outcome(NamedTuple):
    """How a job came to its end."""

    summary: Summary | None  # of a run that has finished
    is_saved: bool  # whether the learner has ended as it should


def launch(config: Config, run: RunDir, view: View, *, has_evaluator: bool = True) -> Outcome:
    """Runs a job until it is over or the user stops it; whatever ends it, none of its processes is left. A run that has
    finished already is told again, and no process is started.

    Args:
      config: the whole configuration; it says how many processes there are.
      run: made if need be; resumed if it was begun.
      view: what the user sees of it.

    Raises UserError: RunDirError where the directory is in use or another's, ClusterError where a process can't go on.
    """
    with run.supervise(config):
        if (finished := finished_summary(run, config, has_evaluator=has_evaluator)) is not None:
            run.restore_config()
            return Outcome(finished, is_saved=True)
        program = deal_gpus(config, program_for(config, run, has_evaluator), visible_gpus(), view.say)
        before = _written(run)
        supervisor = Supervisor(program, run.process_logs, run.heartbeats, config.health, view)
        view.say(
            f"starting {len(program.processes)} processes; their output is in {run.process_logs}, "
            f"their addresses in {run.cluster_file}"
        )
        _run(supervisor)
        # A learner that was told to end by itself leaves an earlier summary, which may stand no longer.
        is_new = _written(run) != before
        summary = (
            read_summary(run.summary_file) if is_new else finished_summary(run, config, has_evaluator=has_evaluator)
        )
        return Outcome(summary, supervisor.has_saved)


def launch_share(config: Config, run: RunDir, view: View, pools: Pools, machines: Machines) -> bool:
    """Runs this machine's processes until the job is over, or False: until the user has stopped them and those that
    keep something have saved it.

    Args:
      config: the whole job's.
      run: what it holds of this machine's processes is in a folder of the machine's own.
      view: what the user sees of it.
      pools: the roles of each pool's machines.
      machines: where these are, and which is this one.

    Raises UserError: ConfigError where the machines don't suit the configuration, RunDirError where this machine's
    processes are run already, else as `launch`.
    """
    placed = place(config, pools, machines.sizes(pools))
    topology, here = topology_on_machines(config, placed, machines), placed[machines.this]
    if not here:
        raise ConfigError(
            f"{machines.origin}: no process is left to run on {machines.this}: there are too many machines"
        )
    folder = run.machine(str(machines.this))
    program = _program(config, topology, folder, run)
    with folder.claim():
        write_atomically(folder.config_file, dump(config).encode())
        for file in (folder.cluster_file, *([run.cluster_file] if LEARNER in here else [])):
            write_atomically(file, topology.to_json())
        view.say(
            f"{machines.this}, a machine of the job's, starts {', '.join(map(str, here))}; "
            f"the addresses of all processes are in {folder.cluster_file}"
        )
        program = deal_gpus(config, program.share(here), visible_gpus(), view.say)
        return _run(Supervisor(program, folder.process_logs, folder.heartbeats, config.health, view))


def program_for(config: Config, run: RunDir, has_evaluator: bool) -> Program:
    """What is to be run on this host; the addresses are kept in the run."""
    topology = local_topology(config, has_evaluator=has_evaluator, kept=_kept(run))
    write_atomically(run.cluster_file, topology.to_json())
    return _program(config, topology, run, run)


def _program(config: Config, topology: Topology, folder: RunDir | MachineDir, run: RunDir) -> Program:
    files = {"config_file": str(folder.config_file), "cluster_file": str(folder.cluster_file)}
    return make_program(config, topology, **files, run_dir=str(run.path))


def _run(supervisor: Supervisor) -> bool:
    """As `Supervisor.run`; a signal to this process asks to stop."""

    def at_once() -> None:
        supervisor.kill()
        end_at_once()

    with interruptions(at_once) as interrupted:
        return supervisor.run(interrupted)


def _kept(run: RunDir) -> Topology | None:
    if not run.cluster_file.exists():
        return None
    try:
        return read_topology(run.cluster_file)
    except ConfigError:
        return None  # only addresses are lost


def _written(run: RunDir) -> float | None:
    """When the summary was."""
    return run.summary_file.stat().st_mtime if run.summary_file.exists() else None

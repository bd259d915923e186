"""`launch`: runs a whole job on this host; `launch_share`: runs this machine's processes of a job on many machines."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from tfdqn.cluster.placement import Machines, Pools, place, pool_warnings, topology_on_machines
from tfdqn.cluster.program import Program, local_topology, make_program
from tfdqn.cluster.roles import LEARNER, TRAITS
from tfdqn.cluster.topology import Topology, topology_at
from tfdqn.config import Config
from tfdqn.config.doubts import doubts
from tfdqn.config.toml import differences, dump
from tfdqn.errors import ConfigError, UserError
from tfdqn.launch.supervisor import Supervisor, View
from tfdqn.records import Summary
from tfdqn.storage.atomic_files import write_atomically
from tfdqn.storage.completion import finished_summary
from tfdqn.storage.failures import failures_are_kept, keep_interruption
from tfdqn.storage.machine_directory import MachineDir
from tfdqn.storage.replay_directory import ShardDir
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import read_end, read_summary
from tfdqn.system.fork_server import ForkServer, fork_server
from tfdqn.system.processors import deal, visible_gpus
from tfdqn.system.signals import end_at_once, interruptions


class Outcome(NamedTuple):
    """The result of a job."""

    summary: Summary | None  # None: the run has not finished
    is_saved: bool  # whether the learner has saved the run as it ended, or had nothing to save


def launch(config: Config, run: RunDir, view: View, *, has_evaluator: bool = True) -> Outcome:
    """Runs a job until it is over or the user stops it, and leaves none of its processes behind.

    If the run has finished already, no process is started and its summary is returned. An error that ends the job is
    kept in the run's directory, which is made or resumed.

    Raises:
      RunDirError: if the directory is in use, belongs to another configuration, or is moved or removed meanwhile.
      ConfigError: if the GPUs here don't suit the configuration, or replay holds transitions of another.
      ClusterError: if a process can't go on.
    """
    with failures_are_kept(run), _signals_stop() as run_supervisor:
        program = deal_gpus(config, program_for(config, run, has_evaluator), visible_gpus(), view.say)
        with run.supervise(config):
            for folder in sorted(run.replay.glob("*")):
                ShardDir(folder).refuse_another(config)  # as its server would, after it has imported TensorFlow
            if (finished := finished_summary(run, config, has_evaluator=has_evaluator)) is not None:
                run.restore_config()
                return Outcome(finished, is_saved=True)
            write_atomically(run.cluster_file, program.topology.to_json())
            before, end_before = _written(run.summary_file), _written(run.end_file)
            view.say(
                f"starting {len(program.processes)} processes; their output is in {run.process_logs}, "
                f"their addresses in {run.cluster_file}"
            )
            for doubt in doubts(config):
                view.say(f"warning: {doubt}")
            with _fork_server(program) as server:
                folders = (run.process_logs, run.heartbeats)
                supervisor = Supervisor(program, *folders, config.health, view, server)
                is_saved = _over(run, run_supervisor, supervisor) or _keep_interruption(run, supervisor, end_before)
            # If the learner was stopped, the summary may be that of an earlier session, which may no longer hold.
            is_new = _written(run.summary_file) != before
            summary = (
                read_summary(run.summary_file) if is_new else finished_summary(run, config, has_evaluator=has_evaluator)
            )
            return Outcome(summary, is_saved)


def _over(run: RunDir, run_supervisor: Callable[[Supervisor], bool], supervisor: Supervisor) -> bool:
    """As `Supervisor.run`; raises RunDirError if the run's directory was moved or removed, which explains the rest."""
    try:
        is_over = run_supervisor(supervisor)
    except UserError:
        run.check_exists()
        raise
    run.check_exists()
    return is_over


def launch_share(config: Config, run: RunDir, view: View, pools: Pools, machines: Machines) -> bool:
    """Runs this machine's processes until the job is over; False if the user has stopped them before, in order.

    If the run's directory, as this machine sees it, has finished already, no process is started. It has a folder for
    each machine's processes.

    Raises:
      ConfigError: if the machines or their GPUs don't suit the configuration.
      RunDirError: if this machine's processes are running already.
      ClusterError: if a process can't go on.
    """
    placed = place(config, pools, machines.sizes(pools))
    topology, here = topology_on_machines(config, placed, machines), placed[machines.this]
    if not here:
        raise ConfigError(
            f"{machines.origin}: there are too many machines: no process is left to run on {machines.this}"
        )
    if (finished := _finished_share(config, run, topology)) is not None:
        view.say(f"{run.path} has finished already: {finished.reason}")
        return True
    folder = run.machine(str(machines.this))
    program = _program(config, topology, folder, run)
    with _signals_stop() as run_supervisor, folder.claim():
        write_atomically(folder.config_file, dump(config).encode())
        for file in (folder.cluster_file, *([run.cluster_file] if LEARNER in here else [])):
            write_atomically(file, topology.to_json())
        view.say(
            f"{machines.this}, one of the job's machines, starts {', '.join(map(str, here))}; "
            f"the addresses of all processes are in {folder.cluster_file}"
        )
        for line in pool_warnings(config, pools, machines):
            view.say(f"warning: {line}")
        program = deal_gpus(config, program.share(here), visible_gpus(), view.say)
        with _fork_server(program) as server:
            folders = (folder.process_logs, folder.heartbeats)
            return run_supervisor(Supervisor(program, *folders, config.health, view, server))


def _finished_share(config: Config, run: RunDir, topology: Topology) -> Summary | None:
    """The run's summary if it has finished; None also for another configuration, which the learner will refuse."""
    finished = finished_summary(run, config, has_evaluator=bool(topology.evaluator))
    return None if finished is None or differences(run.config(), config, "run") else finished


def program_for(config: Config, run: RunDir, has_evaluator: bool) -> Program:
    """The processes to run on this host; keeps the addresses that the run has already."""
    return _program(config, local_topology(config, has_evaluator=has_evaluator, kept=_kept(run)), run, run)


def deal_gpus(config: Config, program: Program, gpus: tuple[str, ...], say: Callable[[str], None]) -> Program:
    """The program, where each process that computes gradients gets GPUs of `gpus` by the variables that `deal` makes.

    Raises ConfigError as `deal`.
    """
    computing = [each for each in program.processes if TRAITS[each.id.role].computes_gradients(config)]
    shares = deal([each.id for each in computing], gpus, say, all_reduce=config.learner.all_reduce)
    environments = {each.id: {**each.environment, **shares[each.id]} for each in computing if each.id in shares}
    processes = (replace(each, environment=environments.get(each.id, each.environment)) for each in program.processes)
    return replace(program, processes=tuple(processes))


def _program(config: Config, topology: Topology, folder: RunDir | MachineDir, run: RunDir) -> Program:
    files = {"config_file": str(folder.config_file), "cluster_file": str(folder.cluster_file)}
    return make_program(config, topology, **files, run_dir=str(run.path))


def _fork_server(program: Program) -> AbstractContextManager[ForkServer | None]:
    roles = sorted({each.id.role for each in program.processes})
    modules = ["tfdqn.cli.processes", "tfdqn.roles.entry", *(f"tfdqn.roles.{role}" for role in roles)]
    return fork_server(modules, len(program.processes))


@contextmanager
def _signals_stop() -> Iterator[Callable[[Supervisor], bool]]:
    """Yields a function that runs a supervisor, as `Supervisor.run`.

    In the block a signal asks to stop, also before the supervisor runs, and a second Ctrl-C ends everything at once.
    """
    begun: list[Supervisor] = []

    def at_once() -> None:
        for supervisor in begun:
            supervisor.kill()
        end_at_once()

    with interruptions(at_once) as interrupted:

        def run(supervisor: Supervisor) -> bool:
            begun.append(supervisor)
            return supervisor.run(interrupted)

        yield run


def _keep_interruption(run: RunDir, supervisor: Supervisor, end_before: float | None) -> bool:
    """Notes that a signal has stopped the job; returns whether the learner has saved.

    A learner that has saved, but was held up, may have ended out of order. It has noted that itself, which stays.
    `end_before`: when the run's end was last noted before the job.
    """
    if not supervisor.has_saved and _written(run.end_file) != end_before:
        noted = read_end(run.end_file)
        if noted is not None and noted.is_saved:
            return True
    more = "" if supervisor.has_saved else "; the learner could not save"
    keep_interruption(run, is_saved=supervisor.has_saved, more=more)
    return supervisor.has_saved


def _kept(run: RunDir) -> Topology | None:
    """The topology of an earlier launch, whose addresses are used again; None if there is none that can be read."""
    try:
        return topology_at(run.cluster_file)
    except ConfigError:
        return None


def _written(file: Path) -> float | None:
    """When a file was last written; None: there is none."""
    return file.stat().st_mtime if file.exists() else None

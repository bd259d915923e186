"""`launch`: a whole job on this host, in as many processes as its configuration asks for."""

import os
from typing import NamedTuple

from tfdqn.config import Config
from tfdqn.durable import write_atomically
from tfdqn.errors import ConfigError
from tfdqn.interruptions import interruptions
from tfdqn.program import Program, local_topology, make_program
from tfdqn.run_dir import RunDir
from tfdqn.summary import Summary, read_summary
from tfdqn.supervisor import Supervisor, View
from tfdqn.topology import Topology, read_topology


class Outcome(NamedTuple):
    """How a job came to its end."""

    summary: Summary | None  # of a run that has finished
    is_saved: bool  # whether the learner has ended as it should


def launch(config: Config, run: RunDir, view: View, *, has_evaluator: bool = True) -> Outcome:
    """Runs a job until it is over or the user stops it; whatever ends it, none of its processes is left.

    Args:
      config: the whole configuration; it says how many processes there are.
      run: made if need be; resumed if it was begun.
      view: what the user sees of it.

    Raises UserError: RunDirError where the directory is in use or another's, ClusterError where a process can't go on.
    """
    with run.supervise(config):
        program = program_for(config, run, has_evaluator)
        before = _written(run)
        supervisor = Supervisor(program, run.process_logs, run.signs_of_life, config.health, view)

        def end_at_once() -> None:
            supervisor.kill()
            os._exit(130)

        view.say(
            f"starting {len(program.processes)} processes; what they say is in {run.process_logs}, "
            f"where they are in {run.cluster_file}"
        )
        with interruptions(end_at_once) as interrupted:
            is_over = supervisor.run(interrupted)
        is_finished = is_over or _written(run) != before
        return Outcome(read_summary(run.summary_file) if is_finished else None, supervisor.has_saved)


def program_for(config: Config, run: RunDir, has_evaluator: bool) -> Program:
    """What is to be run on this host; where everybody is, is kept in the run."""
    topology = local_topology(config, has_evaluator=has_evaluator, kept=_kept(run))
    program = make_program(
        config,
        topology,
        config_file=str(run.config_file),
        cluster_file=str(run.cluster_file),
        run_dir=str(run.path),
    )
    write_atomically(run.cluster_file, topology.to_json())
    return program


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

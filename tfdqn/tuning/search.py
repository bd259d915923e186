"""`search`: runs trials until the study has enough; `write_best`: writes the best trial's configuration."""

from collections.abc import Sequence
from typing import Protocol

from tfdqn.config import Config, toml
from tfdqn.storage.atomic_files import write_atomically
from tfdqn.system.processors import available_cores, visible_gpus
from tfdqn.tuning.child_runs import TFDQN, ChildRun, ChildRuns
from tfdqn.tuning.slots import default_jobs, slots
from tfdqn.tuning.study import Study
from tfdqn.tuning.trial_records import Trial
from tfdqn.tuning.trial_runs import Template, TrialRuns


class View(Protocol):
    """Shows a search to a person."""

    def say(self, line: str) -> None: ...

    def show(self, trials: Sequence[Trial], runs: Sequence[ChildRun]) -> None: ...


def search(
    study: Study, template: Template, wanted: int, view: View, jobs: int | None = None, command: Sequence[str] = TFDQN
) -> bool:
    """Runs trials until the study has `wanted` trials; returns False if the user asks to stop before.

    Args:
      study: other processes may run trials of it at the same time.
      template: makes a run's configuration of a trial's values.
      wanted: how many trials the study is to have, including those that it has.
      view: shows the search.
      jobs: how many trials this process runs in parallel; None: as many as this host has cores for.
      command: the beginning of each command line, before `train`.

    Raises StudyError if every trial fails.
    """
    cores, gpus = available_cores(), visible_gpus()
    at_once = max(1, min(jobs or default_jobs(template.filled({}), cores, len(gpus)), wanted))
    of_cores = f"{cores} core{'s' if cores > 1 else ''}"
    view.say(f"{wanted} trial{'s' if wanted > 1 else ''} in {study.folder.path}: {at_once} at a time on {of_cores}")
    trials = TrialRuns(study, template, wanted, view.say, view.show)
    return ChildRuns[ChildRun](slots(at_once, cores, gpus), view.say, command).run(trials, trials.look)


def write_best(study: Study, template: Template, best: Trial) -> Config:
    """Writes the best trial's configuration to a file that `tfdqn train` takes, and returns it."""
    config = template.filled(best.values)
    heading = f"# Trial {best.number}, the best of {study.folder.path.name}: mean return {best.score:,.2f}.\n"
    write_atomically(study.folder.best_config_file, (heading + toml.dump(config)).encode())
    return config

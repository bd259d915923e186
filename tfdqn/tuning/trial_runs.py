"""`search`: runs trials until the study has enough; `write_best`: writes the best trial's configuration."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from tfdqn.config import Config, toml
from tfdqn.errors import ClusterError, ConfigError, counted, message_in_one_line
from tfdqn.storage.atomic_files import has_room, says_full_disk
from tfdqn.storage.failures import keep_stop
from tfdqn.storage.run_records import Outcome
from tfdqn.system.interval import IntervalTrigger
from tfdqn.system.processors import available_cores
from tfdqn.system.subprocesses import TFDQN
from tfdqn.tuning.child_runs import ChildRun, ChildRuns, fork_server_of_runs, slots_of_this_host
from tfdqn.tuning.search_space import SearchSpace
from tfdqn.tuning.study import ClaimedTrial, Study
from tfdqn.tuning.study_folder import StudyError
from tfdqn.tuning.trial_records import Trial, TrialState, best_of, ended_of, evaluation_number

_SECONDS_BETWEEN_LOOKS_AT_OTHERS = 2.0
_MAX_STARTS = 3  # of a trial whose process is killed from outside
_MAX_FAILURES = 3  # after which a study without any success is given up


class Template(NamedTuple):
    """The configuration that a trial's values are filled into."""

    content: bytes  # of the configuration file
    origin: str  # its path, with which error messages begin
    overrides: Sequence[str]  # from the command line
    space: SearchSpace

    def filled(self, values: Mapping[str, Any]) -> Config:
        """The configuration of a trial, without values that have no effect given the others. Raises ConfigError."""
        return toml.parse(self.content, [*self.overrides, *self.space.overrides(values)], self.origin, unused={})

    def first(self) -> Config | None:
        """The configuration with the first value of each dimension; None if these contradict one another."""
        try:
            return self.filled(self.space.first())
        except ConfigError:
            return None


class View(Protocol):
    """Shows a search to a person."""

    def say(self, line: str) -> None: ...

    def show(self, trials: Sequence[Trial], runs: Sequence[ChildRun]) -> None: ...


def search(
    study: Study, template: Template, wanted: int, view: View, jobs: int | None = None, command: Sequence[str] = TFDQN
) -> bool:
    """Runs trials until the study has `wanted` trials in all; returns False if the user asks to stop before.

    Other processes may run trials of the study at the same time. This one runs `jobs` in parallel; None: as many as
    this host has cores for. `command` is the beginning of each command line, before `train`.

    Raises StudyError if every trial fails. Raises ClusterError if this host can train no more: its disk is full, or it
    can't start a process. The trials that met this do not count: they are resumed when the search goes on.
    """
    slots = slots_of_this_host(template.filled({}), jobs, wanted)
    how = f"{len(slots)} at a time on {counted(available_cores(), 'core')}"
    left = wanted - ended_of(study.trials())
    view.say(f"{counted(wanted, 'trial')} in {study.folder.path}: {how}{'; starting' if left > 0 else ''}")
    trials = _TrialRuns(study, template, wanted, view)
    # TensorFlow decides when it is imported whether oneDNN computes, which is for the network to say.
    has_one_network = "network.kind" not in template.space.dimensions
    with fork_server_of_runs(left if has_one_network else 0) as server:
        return ChildRuns[ChildRun](slots, view.say, command, server).run(trials, trials.look)


def write_best(study: Study, template: Template, best: Trial) -> Config:
    """Writes the best trial's configuration to a file that `tfdqn train` takes, and returns it."""
    config = template.filled(best.values)
    study.folder.write_best(best.number, best.score, toml.dump(config))
    return config


class _TrialRuns:
    """For `ChildRuns.run`: iterating yields the runs to start, and `look` monitors and prunes those that run.

    The arguments are those of `search`.
    """

    def __init__(self, study: Study, template: Template, wanted: int, view: View):
        self._study, self._template, self._wanted, self._view, self._say = study, template, wanted, view, view.say
        self._running: dict[ChildRun, ClaimedTrial] = {}
        self._reported: Counter[ChildRun] = Counter()  # the number of the newest evaluation
        self._pruned: set[ChildRun] = set()
        self._starts: Counter[int] = Counter()  # of each trial, in this process
        self._trials = study.trials()
        self._look_at_others = IntervalTrigger(_SECONDS_BETWEEN_LOOKS_AT_OTHERS, is_due=True)
        self._others_seem_busy = False
        self._why_to_end = ""  # what keeps this host from training trials

    def __iter__(self) -> Iterator[ChildRun | None]:
        """Yields runs to start; None while only other processes run trials, since they may yet abandon some."""
        while True:
            if self._others_seem_busy and not self._look_at_others.is_due():
                yield None
                continue
            self._look_at_others.done()
            claimed = self._study.next_trial(self._wanted)
            self._others_seem_busy = claimed is None
            if claimed is not None:
                if (run := self._run_of(claimed)) is not None:
                    yield run
            elif not all(each.has_ended for each in self._refreshed()):
                yield None
            else:
                return

    def look(self, ended: Sequence[ChildRun]) -> None:
        """Called a few times a second with the runs that have ended since. Raises as `search`."""
        self._study.keep_alive()
        for run in ended:
            self._end(run, self._running.pop(run))
        if self._why_to_end:
            raise ClusterError(f"the search has to end: {self._why_to_end}")
        for run, claimed in self._running.items():
            self._report(run, claimed)
        if ended:
            self._refreshed()
            self._require_some_success()
        self._view.show(self._trials, list(self._running))

    def _run_of(self, claimed: ClaimedTrial) -> ChildRun | None:
        """The run of a trial; None if the trial has failed already, because its values contradict each other."""
        try:
            config = self._template.filled(claimed.values)
        except ConfigError as error:
            self._fail(claimed, message_in_one_line(error))
            return None
        run = ChildRun(f"trial {claimed.number}", config, self._study.folder.trial(claimed.number))
        self._running[run] = claimed
        self._starts[claimed.number] += 1
        given = " ".join(self._template.space.overrides(claimed.values))
        self._say(f"{run.name} {'goes on' if claimed.is_resumed else 'begins'}: {given}")
        self._refreshed()
        return run

    def _report(self, run: ChildRun, claimed: ClaimedTrial) -> None:
        """Reports new evaluations to the study, and stops the run if the study prunes it."""
        for line in run.progress().evaluations:
            number = evaluation_number(run.config, line.env_steps)
            if number <= self._reported[run] or run in self._pruned:
                continue
            self._reported[run] = number
            if self._study.report(claimed, number, math.nan if line.mean_return is None else line.mean_return):
                self._pruned.add(run)
                run.stop()

    def _end(self, run: ChildRun, claimed: ClaimedTrial) -> None:
        if run.outcome is Outcome.FINISHED:
            self._report(run, claimed)
            self._complete(run, claimed)
        elif run in self._pruned:
            self._study.prune(claimed)
            after = f"pruned after evaluation {self._reported[run]}"
            keep_stop(run.run, f"it was {after}", is_saved=run.is_saved)
            self._say(f"{run.name} is {after}; its run is {run.run.path}")
        elif self._may_be_resumed(run, claimed):
            if run.is_asked_to_end:
                run.keep_interruption()
            self._study.release(claimed)
            self._say(f"{run.name} {run.why or 'has stopped'}: it can be resumed")
        elif run.outcome is Outcome.FAILED and (fault := self._fault_of_host(run)):
            self._study.release(claimed)
            self._say(f"{run.name} {fault}; it will be resumed")
            self._why_to_end = self._why_to_end or f"{run.name} {fault}"
        else:
            if run.outcome is Outcome.FAILED:
                run.keep_failure()
            self._fail(claimed, run.why or f"its process was stopped {_MAX_STARTS} times")

    def _may_be_resumed(self, run: ChildRun, claimed: ClaimedTrial) -> bool:
        """Whether a stopped trial may be resumed: always if the user stopped it, else only a few times."""
        is_interrupted = run.outcome is Outcome.STOPPED or run.was_killed
        return is_interrupted and (run.is_asked_to_end or self._starts[claimed.number] < _MAX_STARTS)

    def _fault_of_host(self, run: ChildRun) -> str:
        """What has kept this host from training a failed run, in words that follow its name; "" if it was the run."""
        if run.could_not_start:
            return run.why
        if says_full_disk(run.why):
            return f"has stopped: {run.why}"
        folder = self._study.folder.path  # where there may have been no room for a log that says so
        return "" if has_room(folder) else f"has stopped: {run.why}; the disk of {folder} is full: make room"

    def _complete(self, run: ChildRun, claimed: ClaimedTrial) -> None:
        summary = run.summary()
        score = None if summary is None or summary.final is None else summary.final.mean_return
        if score is None or not math.isfinite(score):
            self._fail(claimed, "it has no final evaluation whose mean return is a number")
            return
        best = best_of(self._trials)
        is_best = best is None or best.score is None or score > best.score
        self._study.complete(claimed, score)
        self._say(f"{run.name} is complete: mean return {score:,.2f}" + (", the best so far" if is_best else ""))

    def _fail(self, claimed: ClaimedTrial, why: str) -> None:
        self._study.fail(claimed, why)
        self._say(
            f"trial {claimed.number} has failed: {why}; its run is {self._study.folder.trial(claimed.number).path}"
        )

    def _refreshed(self) -> list[Trial]:
        self._trials = self._study.trials()
        return self._trials

    def _require_some_success(self) -> None:
        failed = [each for each in self._trials if each.state is TrialState.FAILED]
        has_success = any(each.returns or each.score is not None for each in self._trials)
        if len(failed) >= _MAX_FAILURES and not has_success:
            raise StudyError(f"{len(failed)} trials have failed, and none has come to an evaluation: {failed[-1].why}")

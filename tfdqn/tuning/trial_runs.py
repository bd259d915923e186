"""`TrialRuns`: a study's trials as runs: each begun or resumed, watched, pruned, and told to the study."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tfdqn.config import Config, toml
from tfdqn.errors import ConfigError
from tfdqn.system.interval import IntervalTrigger
from tfdqn.tuning.child_runs import ChildRun
from tfdqn.tuning.observed_run import Outcome
from tfdqn.tuning.search_space import SearchSpace
from tfdqn.tuning.study import ClaimedTrial, Study
from tfdqn.tuning.study_folder import StudyError
from tfdqn.tuning.trial_records import Trial, TrialState, best_of, evaluation_number

_SECONDS_BETWEEN_LOOKS_AT_OTHERS = 2.0
_MOST_LIVES = 3  # of a trial whose process is ended from outside
_FAILURES = 3  # after which a study in which nothing else came about is given up


class Template(NamedTuple):
    """A configuration of which a trial's values are overrides."""

    content: bytes  # of its file
    origin: str
    overrides: Sequence[str]  # of the command line
    space: SearchSpace

    def filled(self, values: Mapping[str, Any]) -> Config:
        """With a trial's values; those that mean nothing beside the others are left out. Raises ConfigError."""
        return toml.parse(self.content, [*self.overrides, *self.space.overrides(values)], self.origin, unused={})


class TrialRuns:
    """To be handed to `ChildRuns.run`: it iterates over what is to be begun, and `look` looks after what runs.

    Args:
      study: gives the trials, and is told what becomes of them.
      template: makes a run's configuration of a trial's values.
      wanted: how many trials the study is to have, those before among them.
      say: shows one line to the user.
      show: is given the study's trials now and then, and the runs that are under way.
    """

    def __init__(
        self,
        study: Study,
        template: Template,
        wanted: int,
        say: Callable[[str], None],
        show: Callable[[Sequence[Trial], Sequence[ChildRun]], None],
    ):
        self._study, self._template, self._wanted, self._say, self._show = study, template, wanted, say, show
        self._running: dict[ChildRun, ClaimedTrial] = {}
        self._reported: Counter[ChildRun] = Counter()  # the number of the newest evaluation
        self._pruned: set[ChildRun] = set()
        self._lives: Counter[int] = Counter()  # of a trial here
        self._trials: list[Trial] = []
        self._look_at_others = IntervalTrigger(_SECONDS_BETWEEN_LOOKS_AT_OTHERS, is_due=True)
        self._others_seem_busy = False

    def __iter__(self) -> Iterator[ChildRun | None]:
        """None while all that is left to do is under way elsewhere: should its process die, it goes on here."""
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
            elif any(each.state is TrialState.RUNNING for each in self._refreshed()):
                yield None
            else:
                return

    def look(self, ended: Sequence[ChildRun]) -> None:
        """Called a few times a second with those that have ended since."""
        self._study.keep_alive()
        for run in ended:
            self._end(run, self._running.pop(run))
        for run, claimed in self._running.items():
            self._report(run, claimed)
        if ended:
            self._refreshed()
            self._require_some_success()
        self._show(self._trials, list(self._running))

    def _run_of(self, claimed: ClaimedTrial) -> ChildRun | None:
        """None: it has failed already, for its values contradict each other."""
        try:
            config = self._template.filled(claimed.values)
        except ConfigError as error:
            self._fail(claimed, str(error))
            return None
        run = ChildRun(f"trial {claimed.number}", config, self._study.folder.trial(claimed.number))
        self._running[run] = claimed
        self._lives[claimed.number] += 1
        given = " ".join(self._template.space.overrides(claimed.values))
        self._say(f"{run.name} {'goes on' if run.run.has_been_trained else 'begins'}: {given}")
        self._refreshed()
        return run

    def _report(self, run: ChildRun, claimed: ClaimedTrial) -> None:
        """Tells the study of new evaluations, and stops a run that it prunes."""
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
            self._say(f"{run.name} is pruned after evaluation {self._reported[run]}; its run is {run.run.path}")
        elif self._may_be_resumed(run, claimed):
            self._study.release(claimed)
            self._say(f"{run.name} {run.why or 'has stopped'}: it can be resumed")
        else:
            self._fail(claimed, run.why or f"its process was stopped {_MOST_LIVES} times")

    def _may_be_resumed(self, run: ChildRun, claimed: ClaimedTrial) -> bool:
        """Always where this process's user has stopped it; what others have ended, only so often."""
        is_interrupted = run.outcome is Outcome.STOPPED or run.was_killed
        return is_interrupted and (run.is_asked_to_end or self._lives[claimed.number] < _MOST_LIVES)

    def _complete(self, run: ChildRun, claimed: ClaimedTrial) -> None:
        summary = run.summary()
        score = None if summary is None or summary.final is None else summary.final.mean_return
        if score is None or not math.isfinite(score):
            self._fail(claimed, "it has no final evaluation whose mean return is a number")
            return
        best = best_of(self._trials)
        is_best = best is None or best.score is None or score > best.score
        self._study.complete(claimed, score)
        self._say(f"{run.name} is complete: mean return {score:.2f}" + (", the best so far" if is_best else ""))

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
        if len(failed) >= _FAILURES and not has_success:
            raise StudyError(f"{len(failed)} trials have failed, and none has come to an evaluation: {failed[-1].why}")

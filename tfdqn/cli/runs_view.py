"""`RunsView` and `TrialsView` show runs that are trained at once: a live table on a terminal, elsewhere lines."""

from collections.abc import Sequence
from functools import partial

from rich.console import Console, RenderableType

from tfdqn.cli.live_view import LiveView, with_totals
from tfdqn.cli.tables import WholeTable
from tfdqn.cli.terminal import time_left
from tfdqn.errors import counted
from tfdqn.storage.run_records import Outcome
from tfdqn.system.interval import duration
from tfdqn.tuning.child_runs import ChildRun
from tfdqn.tuning.observed_run import ObservedRun, RunProgress
from tfdqn.tuning.trial_records import Trial, best_of, counts_by_state, ended_of, in_words


class RunsView(LiveView):
    """Shows runs while they are trained: `with RunsView() as view: train_seeds(…, view)`."""

    def __init__(self, console: Console | None = None):
        super().__init__(console)
        self._said: dict[str, str] = {}  # states, by name

    def show(self, runs: Sequence[ObservedRun]) -> None:
        """Shows the current state of all runs."""
        self.draw(partial(self._rendered, runs), partial(self._say_what_changed, runs))

    def _rendered(self, runs: Sequence[ObservedRun]) -> RenderableType:
        table = self.fitting(lambda room: runs_table(_most_relevant(runs, room)))
        return with_totals(table, totals_of_runs(runs), *_steps(runs))

    def _say_what_changed(self, runs: Sequence[ObservedRun]) -> None:
        for run in runs:
            # How a run has ended is reported by the code that started it.
            if run.is_alive and self._said.get(run.name) != run.state:
                self._said[run.name] = run.state
                self.say(f"{run.name}: {run.state}")
        self.say_totals(totals_of_runs(runs))


class TrialsView(LiveView):
    """Shows a search while it runs: `with TrialsView(wanted) as view: search(…, view)`.

    `wanted` trials are to be in the study; its best configuration is trained with `fresh_seeds` seeds afterwards.
    """

    def __init__(self, wanted: int, fresh_seeds: int = 0):
        super().__init__()
        self._wanted, self._fresh_seeds = wanted, fresh_seeds

    def show(self, trials: Sequence[Trial], runs: Sequence[ChildRun]) -> None:
        """Shows the study's trials, and the runs of those that are trained on this host."""
        totals = totals_of_trials(trials, self._wanted, runs, self._fresh_seeds)

        def rendered() -> RenderableType:
            table = self.fitting(lambda room: runs_table(runs[:room]))
            return with_totals(table, totals, ended_of(trials), self._wanted)

        self.draw(rendered, lambda: self.say_totals(totals))


def runs_table(runs: Sequence[ObservedRun]) -> WholeTable:
    """A table with one row per run."""
    table = WholeTable("run", "state", right=("steps", "speed", "return", "best evaluation", "time"))
    for run in runs:
        now = run.progress()
        table.add_row(
            run.name,
            run.state,
            f"{now.env_steps:,}" if now.env_steps else "",
            f"{now.env_steps_per_second:,.0f} steps/s" if run.is_alive and now.env_steps_per_second else "",
            "" if now.episode_return is None else f"{now.episode_return:,.1f}",
            "" if now.best_return is None else f"{now.best_return:,.1f}",
            duration(now.seconds) if now.seconds else "",
        )
    return table


def totals_of_runs(runs: Sequence[ObservedRun]) -> str:
    """The progress of all runs together, in one short line."""
    finished, failed = (sum(run.outcome is each for run in runs) for each in (Outcome.FINISHED, Outcome.FAILED))
    done, total = _steps(runs)
    now = [run.progress() for run in runs if run.is_alive]
    speed, mean = _rates(now)
    parts = [f"{finished} of {len(runs)} finished", *([f"{failed} failed"] if failed else [])]
    parts.append(f"{done:,}/{total:,} steps")
    if done < total and min(speed, mean) > 0:  # else the last evaluations run, for nobody knows how long
        parts += [f"{speed:,.0f} steps/s", f"at most {time_left(total - done, mean, speed)}"]
    return ", ".join(parts)


def totals_of_trials(
    trials: Sequence[Trial], wanted: int, runs: Sequence[ObservedRun] = (), fresh_seeds: int = 0
) -> str:
    """The state of a study that is to have `wanted` trials, then `fresh_seeds`, in one short line.

    The time left is estimated by the rates of `runs`, trials on this host: at most, because trials may be pruned; and
    about, because others may be faster or slower.
    """
    ended = ended_of(trials)
    parts = [f"{ended} of {wanted} trials", *in_words(counts_by_state(trials))]
    if (best := best_of(trials)) is not None:
        parts.append(f"best {best.score:,.2f} (trial {best.number})")
    alive = [run for run in runs if run.is_alive]
    now = [run.progress() for run in alive]
    speed, mean = _rates(now)
    if min(speed, mean) > 0:
        taken, total = _steps(alive)
        left = total - taken + max(0, wanted - ended - len(alive)) * alive[0].config.stop.env_steps
        then = f", then {counted(fresh_seeds, 'fresh seed')}" if fresh_seeds else ""
        parts += [f"at most about {time_left(left, mean, speed)}{then}"] if left > 0 else []
    return ", ".join(parts)


def _rates(now: Sequence[RunProgress]) -> tuple[float, float]:
    """(the present rate of runs in training, their mean rate), summed, in environment steps/s; 0: not known yet."""
    return sum(each.env_steps_per_second for each in now), sum(
        each.env_steps / each.seconds for each in now if each.seconds
    )


def _steps(runs: Sequence[ObservedRun]) -> tuple[int, int]:
    """(environment steps taken, environment steps in all), summed; a finished run counts as far as it came."""
    done = total = 0
    for run in runs:
        taken = run.progress().env_steps
        done += taken
        total += max(taken, run.config.stop.env_steps) if run.outcome is not Outcome.FINISHED else taken
    return done, total


def _most_relevant(runs: Sequence[ObservedRun], room: int) -> Sequence[ObservedRun]:
    """At most `room` runs in their own order; those in training are preferred, then those that have failed."""
    order = sorted(runs, key=lambda run: (not run.is_alive, run.outcome is not Outcome.FAILED))[:room]
    return [run for run in runs if run in order]

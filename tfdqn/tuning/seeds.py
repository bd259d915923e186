"""`train_seeds`: trains a configuration with several seeds, a run each, and summarises them.

Finished runs are kept, interrupted ones are resumed, failed ones are tried again. A failed run does not affect others.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

from msgspec.structs import replace

from tfdqn.config import Config
from tfdqn.config.doubts import doubts
from tfdqn.errors import counted
from tfdqn.storage.run_folders import SeedsFolder
from tfdqn.storage.run_records import Outcome
from tfdqn.system.processors import available_cores, visible_gpus
from tfdqn.system.subprocesses import TFDQN
from tfdqn.tuning.child_runs import ChildRun, ChildRuns, fork_server_of_runs, slots, slots_of_this_host
from tfdqn.tuning.observed_run import ObservedRun
from tfdqn.tuning.run_groups import TRAIN_GROUP, GroupedRun, RunGroup
from tfdqn.tuning.seed_results import SeedsSummary, summarize, write_summary

R = TypeVar("R", bound=ObservedRun)
Look = Callable[[Sequence[ObservedRun]], None]
# While one run acts, others learn. More would cost memory: each has its own replay and networks.
_THREADS_PER_CORE = 4
# How long the start of a process takes, and a seed after it, in units of the first: docs/many_runs.md.
_START, _SEED = 1, 3


class View(Protocol):
    """Shows the runs to a person."""

    def say(self, line: str) -> None: ...

    def show(self, runs: Sequence[ObservedRun]) -> None: ...


class SeedsOutcome(NamedTuple):
    """The outcome of training several seeds."""

    summary: SeedsSummary  # of all seeds in the folder
    is_over: bool  # False: the user has asked to stop
    failed: list[str]  # names of runs that failed
    unsaved: list[str]  # names of runs that could not save when they were asked to stop


def train_seeds(
    config: Config,
    seeds: Sequence[int],
    folder: SeedsFolder,
    view: View,
    jobs: int | None = None,
    options: Sequence[str] = (),
    command: Sequence[str] = TFDQN,
) -> SeedsOutcome:
    """Trains each seed until all have ended or the user asks to stop.

    Args:
      config: the whole configuration; its own seed is ignored.
      seeds: in the order in which they are started.
      folder: is made if need be.
      jobs: how many are trained in parallel; None: as many as this host has cores for.
      options: further options of `tfdqn train`, for each run.
      command: the beginning of each command line, before `train`.

    Raises RunDirError if the folder is in use, another configuration's, or something else.
    """
    runs = {seed: ChildRun(f"seed {seed}", replace(config, seed=seed), folder.run(seed), options) for seed in seeds}

    def train(left: list[ChildRun], look: Look) -> bool:
        slots = slots_of_this_host(config, jobs, len(left))
        _say_beginning(view, len(left), len(runs), f"{len(slots)} at a time", folder)
        with fork_server_of_runs(len(left)) as server:
            return ChildRuns[ChildRun](slots, view.say, command, server).run(left, look)

    return _train(config, runs, folder, view, train, [*_at_a_time(jobs), *options])


def train_seeds_together(
    config: Config, seeds: Sequence[int], folder: SeedsFolder, view: View, jobs: int | None = None
) -> SeedsOutcome:
    """Trains seeds as `train_seeds` does, but as threads of a few processes.

    The configuration must pass `require_together`. There is a process for each GPU, or as many as are likely to
    be done soonest. Each trains its share of the seeds. `jobs` is the number of threads in all; if it is None, as many
    as are likely to keep every core busy.
    """
    runs = {seed: GroupedRun(f"seed {seed}", replace(config, seed=seed), folder.run(seed)) for seed in seeds}

    def train(left: list[GroupedRun], look: Look) -> bool:
        cores, gpus = available_cores(), visible_gpus()
        at_once = max(1, min(jobs or _THREADS_PER_CORE * cores, len(left)))
        count = min(at_once, len(gpus) or _process_count(len(left), cores))
        groups = [RunGroup(left[i::count], len(range(i, at_once, count)), folder.native_log) for i in range(count)]
        processes = f"{count} process{'es' if count > 1 else ''}"
        _say_beginning(view, len(left), len(runs), f"{at_once} together in {processes}", folder)

        def look_at(ended: list[RunGroup]) -> None:
            look([run for group in groups for run in group.newly_ended()])

        with fork_server_of_runs(count) as server:
            return ChildRuns[RunGroup](slots(count, cores, gpus), view.say, TRAIN_GROUP, server).run(groups, look_at)

    return _train(config, runs, folder, view, train, [*_at_a_time(jobs), "--together"])


def _at_a_time(jobs: int | None) -> Sequence[str]:
    """The options that `jobs` stands for."""
    return () if jobs is None else ("--jobs", str(jobs))


def _process_count(seeds: int, cores: int) -> int:
    """The number of processes that are likely to train these seeds soonest; the fewest of several.

    With a process for each core, five seeds on two cores would take as long as six. The operating system shares the
    cores evenly among three processes with two, two and one of them, but each process has its own start.
    """

    def duration(processes: int) -> float:
        longest = _START + _SEED * math.ceil(seeds / processes)
        return max(longest, (_START * processes + _SEED * seeds) / cores)

    return min(range(min(cores, seeds), min(2 * cores, seeds) + 1), key=duration)


def _train(
    config: Config,
    by_seed: Mapping[int, R],
    folder: SeedsFolder,
    view: View,
    train: Callable[[list[R], Look], bool],
    options: Sequence[str],
) -> SeedsOutcome:
    """Trains the unfinished runs by `train`, which calls `look` with those that end, and returns whether all have.

    `options` are those of the command, which the summary keeps.
    """
    runs = list(by_seed.values())

    def summary() -> SeedsSummary:
        failures = {seed: run.why for seed, run in by_seed.items() if run.outcome is Outcome.FAILED}
        found = summarize(folder, failures, by_seed, options)
        write_summary(folder, found)
        return found

    def look(ended: Sequence[ObservedRun]) -> None:
        for each in ended:
            if each.outcome is Outcome.FAILED:
                each.keep_failure()
            elif each.outcome is Outcome.STOPPED and each.is_asked_to_end:
                each.keep_interruption()
            view.say(_end_message(each))
        if ended:
            summary()
        view.show(runs)

    with folder.claim(config, by_seed):
        summary()  # so that seeds that never begin are known
        left = [run for run in runs if not run.take_as_finished()]
        for doubt in doubts(config) if left else ():
            view.say(f"warning: {doubt}")
        is_over = train(left, look) if left else True
        stopped = [run for run in runs if run.outcome is Outcome.STOPPED]
        return SeedsOutcome(
            summary=summary(),
            is_over=is_over and not stopped,
            failed=[run.name for run in runs if run.outcome is Outcome.FAILED],
            unsaved=[run.name for run in stopped if not run.is_saved],
        )


def _say_beginning(view: View, left: int, count: int, how: str, folder: SeedsFolder) -> None:
    finished = f" ({count - left} finished before)" if left < count else ""
    where = f"{counted(count, 'seed')} in {folder.path}{finished}"
    view.say(f"{where}: {how} on {counted(available_cores(), 'core')}; starting")


def _end_message(run: ObservedRun) -> str:
    if run.outcome is Outcome.FAILED:
        where = f"; its log is {run.run.child_log}" if run.run.child_log.exists() else ""
        return f"{run.name} has failed: {run.why}{where}"
    if run.outcome is Outcome.STOPPED:
        left = "its last checkpoint stands" if run.run.has_checkpoint else "nothing was learned yet"
        return f"{run.name} has stopped" + ("" if run.is_saved else f" without saving: {left}")
    summary = run.summary()
    final = None if summary is None else summary.final
    return f"{run.name} has finished" + ("" if final is None else f": mean return {final.mean_return:,.2f}")

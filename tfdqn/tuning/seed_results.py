"""`summarize`: the results of each seed in a folder, and statistics over all; for `seeds.json` and `tfdqn inspect`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

import msgspec
import numpy as np
from msgspec import Struct

from tfdqn.errors import in_ranges
from tfdqn.records import Status
from tfdqn.reports.statistics import interquartile_mean, percentile_bootstrap_interval
from tfdqn.storage.atomic_files import read_decoded, write_atomically
from tfdqn.storage.failures import would_fail_again
from tfdqn.storage.locks import holder_of
from tfdqn.storage.recorded_config import recorded
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_folders import SeedsFolder
from tfdqn.system.shell_commands import as_argument, own_command
from tfdqn.tuning.observed_run import progress_of, summary_of


class SeedResult(Struct, frozen=True, kw_only=True):
    """The result of one seed."""

    seed: int
    run: str  # its directory's name in the folder
    status: str  # "finished", "in training", "not finished", "not begun" or "failed"
    reason: str  # why training has ended, or what has failed
    log: str  # the output of its process, within the folder; "" unless it has failed and left one
    final_return: float | None  # mean of the final evaluation; None: there was none
    best_return: float | None  # of the best evaluation during training
    env_steps: int
    train_steps: int
    seconds: float  # of training
    needs_another_run: bool = False  # its configuration made it fail with nothing saved, and can no longer change


class SeedStatistics(Struct, frozen=True, kw_only=True):
    """Statistics of one return from each of several runs. Intervals are 95 % bootstrap; None for a single run."""

    seeds: int
    mean: float
    mean_interval: tuple[float, float] | None
    interquartile_mean: float
    interquartile_mean_interval: tuple[float, float] | None


class SeedsSummary(Struct, frozen=True, kw_only=True):
    """The results of all seeds of a folder."""

    seeds: tuple[SeedResult, ...]
    final: SeedStatistics | None  # of the finished seeds' final evaluations; None: there are none
    best: SeedStatistics | None  # of their best evaluations
    options: tuple[str, ...] = ()  # of the command that trains them: how many at a time, and how

    @property
    def needs_new_runs(self) -> bool:
        """Whether a seed has failed, and every seed that has not finished needs another run."""
        unfinished = [each for each in self.seeds if each.status != "finished"]
        return bool(unfinished) and all(each.needs_another_run for each in unfinished)


class SeedsReport(SeedsSummary, frozen=True, kw_only=True):
    """How a folder of seeds stands; `tfdqn inspect --json` prints it."""

    status: Status
    trainer: str  # the process that trains them; "": none is known
    resume: str  # the command that trains the seeds that have not finished; "": none is to be given, or of any use


class _SeedNumber(Struct, frozen=True):
    seed: int


class _Request(Struct, frozen=True):
    """What a summary, perhaps of another version of tfdqn, says of the command that wrote it."""

    seeds: tuple[_SeedNumber, ...] = ()
    options: tuple[str, ...] = ()


_requests = msgspec.json.Decoder(_Request)


def summarize(
    folder: SeedsFolder,
    failures: Mapping[int, str] = MappingProxyType({}),
    wanted: Iterable[int] = (),
    options: Sequence[str] = (),
) -> SeedsSummary:
    """The present results of a folder, with the `options` of the command that trains its seeds.

    Args:
      failures: why seeds have just failed, by seed: they count as failed although their results may stand.
      wanted: seeds that are to be trained, also those that have not begun.
    """
    kept = folder.failures()
    known = sorted({*folder.seeds(), *kept, *failures, *wanted})
    seeds = tuple(_result(seed, folder.run(seed), failures.get(seed, ""), kept.get(seed, "")) for seed in known)
    finished = [each for each in seeds if each.status == "finished"]
    return SeedsSummary(
        seeds=seeds,
        final=_statistics([each.final_return for each in finished]),
        best=_statistics([each.best_return for each in finished]),
        options=tuple(options),
    )


def seeds_report(folder: SeedsFolder) -> SeedsReport:
    """How a folder of seeds stands now, with the seeds that were last asked for."""
    # Nothing was asked for where no summary can be read.
    request = read_decoded(folder.summary_file, _requests.decode) or _Request()
    summary = summarize(folder, wanted=[each.seed for each in request.seeds], options=request.options)
    in_training = [each.seed for each in summary.seeds if each.status == "in training"]
    locks = [folder.lock_file, *(folder.run(seed).lock_file for seed in in_training)]
    trainer = next(filter(None, map(holder_of, locks)), None)
    statuses = {each.status for each in summary.seeds}
    if trainer is not None or in_training:
        status = Status.TRAINING
    elif statuses == {"finished"}:
        status = Status.FINISHED
    else:
        status = Status.FAILED if "failed" in statuses else Status.STOPPED
    return SeedsReport(
        **msgspec.structs.asdict(summary),
        status=status,
        trainer="" if trainer is None else str(trainer),
        resume=_command(folder, summary) if status in (Status.STOPPED, Status.FAILED) else "",
    )


def is_over(folder: SeedsFolder) -> bool:
    """Whether every seed of the folder has finished, and no process is known to train more of them."""
    return seeds_report(folder).status is Status.FINISHED


def write_summary(folder: SeedsFolder, summary: SeedsSummary) -> None:
    """Writes `seeds.json`. Raises RunDirError if that fails."""
    write_atomically(folder.summary_file, msgspec.json.format(msgspec.json.encode(summary), indent=2))


def _command(folder: SeedsFolder, summary: SeedsSummary) -> str:
    """The command that trains the seeds that have not finished.

    "" if no configuration of theirs is there yet, or if the command would fail again.
    """
    if summary.needs_new_runs:
        return ""
    unfinished = [each.seed for each in summary.seeds if each.status != "finished"]
    seeds = [*unfinished, *(each.seed for each in summary.seeds if each.seed not in unfinished)]
    runs = [folder.run(seed) for seed in seeds]
    files = [*(run.config_file for run in runs), *(run.child_config_file for run in runs)]
    config = next((file for file in files if file.is_file()), None)
    if config is None:
        return ""
    written = ",".join(in_ranges([each.seed for each in summary.seeds], "-"))  # as `--seeds` takes them
    run_dir = str(runs[0].path.parent)
    arguments = ("train", as_argument(config), "--seeds", written, *summary.options, "--run-dir", run_dir)
    return own_command(arguments)


def _result(seed: int, run: RunDir, failure: str, kept_failure: str) -> SeedResult:
    has_begun = run.config_file.is_file()
    summary = summary_of(run, recorded(run).config) if has_begun and not failure else None
    progress = progress_of(run)
    begun = "not finished" if has_begun else "not begun"
    is_in_training = not failure and holder_of(run.lock_file) is not None  # then what is kept is of a process before
    why = "" if summary or is_in_training else failure or kept_failure
    unfinished = "in training" if is_in_training else "failed" if why else begun
    return SeedResult(
        seed=seed,
        run=run.path.name,
        status="finished" if summary else unfinished,
        reason=summary.reason if summary else why,
        log=str(run.child_log.relative_to(run.path.parent)) if why and run.child_log.exists() else "",
        final_return=summary.final.mean_return if summary and summary.final else None,
        best_return=summary.best_return if summary else progress.best_return,
        env_steps=summary.env_steps if summary else progress.env_steps,
        train_steps=summary.train_steps if summary else progress.train_steps,
        seconds=summary.seconds if summary else progress.seconds,
        needs_another_run=why != "" and would_fail_again(run),
    )


def _statistics(returns: Sequence[float | None]) -> SeedStatistics | None:
    scores = np.array([each for each in returns if each is not None], np.float64)
    if not scores.size:
        return None
    return SeedStatistics(
        seeds=scores.size,
        mean=float(scores.mean()),
        mean_interval=_interval(np.mean, scores),
        interquartile_mean=interquartile_mean(scores),
        interquartile_mean_interval=_interval(interquartile_mean, scores),
    )


def _interval(statistic: Callable[[np.ndarray], float], scores: np.ndarray) -> tuple[float, float] | None:
    if scores.size < 2:
        return None
    interval = percentile_bootstrap_interval(statistic, scores)
    return float(interval.low), float(interval.high)

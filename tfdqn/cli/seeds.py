"""`tfdqn train --seeds`: trains one configuration with several seeds, and prints the results."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from tfdqn.cli.arguments import command_to_resume, load_config, say_on_stderr
from tfdqn.cli.default_directories import default_seeds_folder
from tfdqn.cli.phase_line import starting
from tfdqn.cli.resuming import resumption_is_said, to_go_on
from tfdqn.cli.tables import WholeTable, pairs_table, print_whole
from tfdqn.cli.terminal import make_console
from tfdqn.config import Config
from tfdqn.config.checks import require_together
from tfdqn.errors import FAILED_STATUS, STOPPED_STATUS, ConfigError, counted, listed, shortened
from tfdqn.records import Status
from tfdqn.storage.run_folders import SeedsFolder
from tfdqn.system.interval import duration
from tfdqn.system.processors import visible_gpus
from tfdqn.system.shell_commands import as_argument, own_command
from tfdqn.system.signals import end_at_once, interruptions, last_words
from tfdqn.tuning.seed_results import SeedsReport, SeedsSummary, SeedStatistics

_MOST_SEEDS = 1_000
_SEED_OR_RANGE = re.compile(r"(\d{1,10})(?:-(\d{1,10}))?", re.ASCII)
_CHANGED = "the runs' keys are fixed: to change them, begin new runs, in another folder"
_FIGURES = ("final evaluation", "best evaluation", "steps", "updates", "time")


def train(
    config: Path,
    overrides: Sequence[str],
    run_dir: Path | None,
    seeds: str,
    jobs: int | None,
    options: Sequence[str],
    together: bool = False,
) -> None:
    """Trains a configuration with several seeds. `options` are further options of `tfdqn train` for each.

    Raises ConfigError for a configuration or options that can't be trained so, and typer.Exit as `train_each`.
    """
    from tfdqn.cluster.environment import cluster_of_environment

    wanted = read_seeds(seeds)
    if given := next((each for each in overrides if each.partition("=")[0].strip() == "seed"), None):
        raise ConfigError(f"{given}: --seeds {seeds} says which seeds are trained: leave one of the two out")
    if cluster_of_environment() is not None:
        raise ConfigError("--seeds trains each seed on this host, and TF_CONFIG names a cluster: unset TF_CONFIG")
    unused: dict[str, str] = {}
    resolved = load_config(config, [*overrides, f"seed={max(wanted)}"], unused)
    if together:
        if options:
            raise ConfigError(f"{options[0]} records one run of its process: leave --together out")
        require_together(resolved)
    folder = SeedsFolder(run_dir or default_seeds_folder(config, say_on_stderr))
    folder.run((folder.seeds() or wanted)[0]).refuse_unused(unused, say_on_stderr)

    asked = ["--seeds", seeds, *([] if jobs is None else ["--jobs", str(jobs)]), *options]
    asked += ["--together"] if together else []
    again = command_to_resume("train", config, [*overrides, *asked], folder.path)
    if train_each(resolved, wanted, folder, jobs, again, options, together):
        with suppress(OSError):  # the terminal may have been closed
            typer.echo(f"To report on these runs:\n{own_command(['report', as_argument(folder.path)])}")


def train_each(
    config: Config,
    seeds: Sequence[int],
    folder: SeedsFolder,
    jobs: int | None,
    again: str,
    options: Sequence[str] = (),
    together: bool = False,
) -> bool:
    """Trains each seed and prints the results; returns False if the user has asked to stop before.

    Arguments are those of `train`, checked; `again` is the command to resume.

    Raises typer.Exit if a seed has failed or could not save.
    """
    with starting(again):
        from tfdqn.cli.runs_view import RunsView
        from tfdqn.training.prerequisites import require_trainable_runs
        from tfdqn.tuning.seeds import train_seeds, train_seeds_together

        require_trainable_runs(config)
        visible_gpus()  # may take seconds; later calls are answered at once
    with resumption_is_said(again, lambda: to_go_on(folder, again)), RunsView() as view:
        if together:
            outcome = train_seeds_together(config, seeds, folder, view, jobs)
        else:
            outcome = train_seeds(config, seeds, folder, view, jobs, options)
    # A Ctrl-C during the import of what draws the curve would end the process without the command that resumes.
    with last_words(f"To go on:\n{again}"), interruptions(end_at_once), suppress(OSError):  # of a closed terminal
        paths = [*_curve(folder), ("summary", str(folder.summary_file))]
        print_whole(make_console(), rendered(folder, outcome.summary, paths))
    if not outcome.is_over:
        view.say(f"{_how_it_was_left(folder, outcome.unsaved)} {to_go_on(folder, again)}")
    if outcome.failed:
        count = f"{len(outcome.failed)} of {len(seeds)} seeds"
        say_on_stderr(f"tfdqn: {count} failed ({listed(outcome.failed)})")
        view.say(_CHANGED.capitalize() if outcome.summary.needs_new_runs else f"To try again:\n{again}")
        raise typer.Exit(FAILED_STATUS)
    if outcome.unsaved:
        raise typer.Exit(STOPPED_STATUS)
    return outcome.is_over


def _how_it_was_left(folder: SeedsFolder, unsaved: Sequence[str]) -> str:
    """What was saved of seeds that were stopped, in words."""
    if folder.has_checkpoint:
        return f"Saved, but for {', '.join(unsaved)}." if unsaved else "Saved."
    return "Nothing was saved yet." if unsaved else "Stopped while starting: nothing was lost."


def rendered(folder: SeedsFolder, summary: SeedsSummary, paths: Iterable[tuple[str, str]] = ()) -> RenderableType:
    """Lays out the results of a folder's seeds: a row for each, statistics over all, why some failed, then `paths`."""
    table = WholeTable("seed", "status", right=_FIGURES)
    for each in summary.seeds:
        cells = (
            str(each.seed),
            each.status,
            "" if each.final_return is None else f"{each.final_return:,.2f}",
            "" if each.best_return is None else f"{each.best_return:,.2f}",
            f"{each.env_steps:,}",
            f"{each.train_steps:,}",
            duration(each.seconds),
        )
        table.add_row(*cells)
    pairs = [*statistics_rows("final evaluation", summary.final)]
    pairs += statistics_rows("best evaluation", summary.best)
    failed = [each for each in summary.seeds if each.status == "failed"]
    for each in failed:
        where = f"; its log is {folder.path / each.log}" if each.log else ""
        pairs.append((f"seed {each.seed} failed", f"{each.reason}{where}"))
    pairs += paths
    return Group(table, Text(), pairs_table(pairs)) if pairs else table


def rendered_report(folder: SeedsFolder, report: SeedsReport) -> RenderableType:
    """Lays out the results of a folder's seeds for `inspect`, and how to go on with those that have not finished."""
    return rendered(folder, report, [("status", standing(folder, report))])


def standing(folder: SeedsFolder, report: SeedsReport) -> str:
    """How a folder of seeds stands, in words, and the command to go on."""
    if report.status is Status.TRAINING:
        return f"in training by {report.trainer}" if report.trainer else "in training"
    finished = sum(each.status == "finished" for each in report.seeds)
    said = "finished" if report.status is Status.FINISHED else f"{finished} of {len(report.seeds)} finished"
    if report.needs_new_runs:
        return f"{said}; {_CHANGED}"
    how = "try again" if report.status is Status.FAILED else "resume" if folder.has_checkpoint else "begin again"
    return f"{said}; to {how}:\n{report.resume}" if report.resume else said


def statistics_rows(name: str, found: SeedStatistics | None) -> Iterable[tuple[str, str]]:
    if found is None:
        return
    for kind, value, interval in (
        ("mean", found.mean, found.mean_interval),
        ("interquartile mean", found.interquartile_mean, found.interquartile_mean_interval),
    ):
        within = "" if interval is None else f" (95 % interval {interval[0]:,.2f} to {interval[1]:,.2f})"
        yield f"{name}, {kind}", f"{value:,.2f}{within} over {counted(found.seeds, 'seed')}"


def _curve(folder: SeedsFolder) -> Iterable[tuple[str, str]]:
    """Draws the learning curve of all seeds, unless none has anything to draw yet; yields its name and path."""
    from tfdqn.reports.failures import failures_are_warnings
    from tfdqn.reports.learning_curves import NothingToDrawError, plot

    with failures_are_warnings("the learning curve is not drawn", say_on_stderr), suppress(NothingToDrawError):
        yield "learning curve", str(plot([folder.path], folder.learning_curve))


def read_seeds(text: str) -> list[int]:
    """The seeds of a list such as "1-5,8", in its order. Raises ConfigError if it is malformed or too long."""
    seeds: list[int] = []
    for part in text.split(","):
        found = _SEED_OR_RANGE.fullmatch(part.strip())
        if found is None:
            raise _refused(text, f"{part.strip()!r} is neither a seed nor a range; give them like 1-5 or 1,2,8")
        first = int(found[1])
        last = first if found[2] is None else int(found[2])
        if last < first:
            raise _refused(text, f"the first seed of a range must not be larger than the last, as in {last}-{first}")
        if len(seeds) + last - first >= _MOST_SEEDS:
            raise _refused(text, f"more than {_MOST_SEEDS:,} seeds")
        seeds += range(first, last + 1)
    if twice := [seed for seed, count in Counter(seeds).items() if count > 1]:
        raise _refused(text, f"{twice[0]} is given twice")
    return seeds


def _refused(text: str, why: str) -> ConfigError:
    return ConfigError(f"--seeds {shortened(text, 50)}: {why}")
